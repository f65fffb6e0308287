/* SPDX-License-Identifier: MIT */
/* Floating point: its 16 registers; vector: the upper 16 of 32, which are no others' part. */
#include <arch.h>
#include <guest.h>

#define FACILITY_VECTOR 129
#define WORDS		16
#define VECTOR_WORDS	32

static bool has_facility(unsigned number)
{
	uint64_t list[4] = { 0 };
	register uint64_t last __asm__("0") = ARRAY_SIZE(list) - 1;

	__asm__ volatile("stfle %0" : "=Q"(list), "+d"(last) : : "cc", "memory");
	return list[number / 64] >> (63 - number % 64) & 1;
}

/* Turned on from the start, in control register 0. */
const char *arch_registers_open(enum register_file file)
{
	if (file == VECTOR && !has_facility(FACILITY_VECTOR))
		return "the CPU has no vector facility";
	return NULL;
}

#define FOR_EACH(instruction)                                                               \
	".irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n" instruction \
	" %%f\\register, 8 * \\register(%0)\n"                                              \
	".endr"
#define WITH_VECTORS(instruction)                             \
	".machine push\n"                                     \
	".machine z13\n" instruction " %%v16, %%v31, 0(%0)\n" \
	".machine pop"

unsigned arch_registers_load(enum register_file file, const uint64_t *words)
{
	if (file == VECTOR) {
		__asm__ volatile(WITH_VECTORS("vlm") : : "a"(words) : "memory");
		return VECTOR_WORDS;
	}
	__asm__ volatile(FOR_EACH("ld") : : "a"(words) : "memory");
	return WORDS;
}

unsigned arch_registers_store(enum register_file file, uint64_t *words)
{
	if (file == VECTOR) {
		__asm__ volatile(WITH_VECTORS("vstm") : : "a"(words) : "memory");
		return VECTOR_WORDS;
	}
	__asm__ volatile(FOR_EACH("std") : : "a"(words) : "memory");
	return WORDS;
}
