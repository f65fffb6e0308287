/* SPDX-License-Identifier: MIT */
/*
 * Floating-point registers 0 to 15, and as vectors the LSX registers 16 to 31 of 128 bits, of which
 * the others' lower halves are the floating-point ones.
 */
#include "loongarch.h"

/* Word 2 of cpucfg, and what turns both on. */
#define FEATURES	 2
#define FEATURE_FLOATING (1u << 0)
#define FEATURE_LSX	 (1u << 6)
#define UNIT_FLOATING	 1
#define UNIT_LSX	 2

const char *arch_registers_open(enum register_file file)
{
	const uint32_t features = cpu_configuration(FEATURES);
	const uint64_t unit = file == VECTOR ? UNIT_FLOATING | UNIT_LSX : UNIT_FLOATING;

	if (!(features & FEATURE_FLOATING))
		return "the CPU has no floating point";
	if (file == VECTOR && !(features & FEATURE_LSX))
		return "the CPU has no LSX";
	csr_change(CSR_UNITS, unit, unit);
	return NULL;
}

#define FLOATING_WORDS 16
#define VECTOR_WORDS   32

#define FOR_FLOATING(instruction)                                                           \
	".irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n" instruction \
	" $f\\register, %0, 8 * \\register\n"                                               \
	".endr"

#define FOR_VECTOR(instruction)                                                                       \
	".irp register, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n" instruction \
	" $vr\\register, %0, 16 * (\\register - 16)\n"                                                \
	".endr"

unsigned arch_registers_load(enum register_file file, const uint64_t *words)
{
	if (file == FLOATING_POINT) {
		__asm__ volatile(FOR_FLOATING("fld.d") : : "r"(words) : "memory");
		return FLOATING_WORDS;
	}
	__asm__ volatile(FOR_VECTOR("vld") : : "r"(words) : "memory");
	return VECTOR_WORDS;
}

unsigned arch_registers_store(enum register_file file, uint64_t *words)
{
	if (file == FLOATING_POINT) {
		__asm__ volatile(FOR_FLOATING("fst.d") : : "r"(words) : "memory");
		return FLOATING_WORDS;
	}
	__asm__ volatile(FOR_VECTOR("vst") : : "r"(words) : "memory");
	return VECTOR_WORDS;
}
