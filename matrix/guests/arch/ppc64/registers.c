/* SPDX-License-Identifier: MIT */
/*
 * The 64 VSX registers of 128 bits: the first half, which has the floating-point registers in it,
 * counts as floating point; the second, the AltiVec registers, as vector (Power ISA 2.07, book I,
 * 7.2).
 */
#include <arch.h>

#define MSR_FLOATING_POINT (1ull << 13)
#define MSR_VSX		   (1ull << 23)
#define MSR_VECTOR	   (1ull << 25)
#define WORDS		   64

const char *arch_registers_open(enum register_file file)
{
	uint64_t state;

	(void)file; /* the CPUs for which this is compiled have both */
	__asm__ volatile("mfmsr %0" : "=r"(state));
	__asm__ volatile("mtmsrd %0\n"
			 "isync"
			 :
			 : "r"(state | MSR_FLOATING_POINT | MSR_VSX | MSR_VECTOR)
			 : "memory");
	return NULL;
}

/* Numbers of 32 registers, and the address of each one's place. */
#define FOR_EACH(instruction, first)                                                                \
	".irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, " \
	"21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n" instruction " " first                        \
	" + \\register, 0, %0\n"                                                                    \
	"addi %0, %0, 16\n"                                                                         \
	".endr"

unsigned arch_registers_load(enum register_file file, const uint64_t *words)
{
	if (file == FLOATING_POINT)
		__asm__ volatile(FOR_EACH("lxvd2x", "0") : "+b"(words) : : "memory");
	else
		__asm__ volatile(FOR_EACH("lxvd2x", "32") : "+b"(words) : : "memory");
	return WORDS;
}

unsigned arch_registers_store(enum register_file file, uint64_t *words)
{
	if (file == FLOATING_POINT)
		__asm__ volatile(FOR_EACH("stxvd2x", "0") : "+b"(words) : : "memory");
	else
		__asm__ volatile(FOR_EACH("stxvd2x", "32") : "+b"(words) : : "memory");
	return WORDS;
}
