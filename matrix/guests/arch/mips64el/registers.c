/* SPDX-License-Identifier: MIT */
/* Floating point: the first 16 registers; vector: the second 16 of the MIPS SIMD Architecture,
 * which share theirs with the other floating-point registers (MD00868). */
#include <arch.h>

#include "malta.h"

#define CONFIG1	       "$16, 1"
#define CONFIG5	       "$16, 5"
#define CONFIG1_FPU    1u
#define CONFIG3_VECTOR (1u << 28)
#define CONFIG5_VECTOR (1u << 27) /* enable */
#define STATUS_FPU     (1u << 29)
#define STATUS_64_BIT  (1u << 26)
#define WORDS	       16
#define VECTOR_WORDS   32

const char *arch_registers_open(enum register_file file)
{
	if (!(read_cp0(CONFIG1) & CONFIG1_FPU))
		return "the CPU has no floating point";
	write_cp0(STATUS, read_cp0(STATUS) | STATUS_FPU | STATUS_64_BIT);
	if (file == FLOATING_POINT)
		return NULL;
	if (!(read_cp0(CONFIG3) & CONFIG3_VECTOR))
		return "the CPU has no MIPS SIMD Architecture";
	write_cp0(CONFIG5, read_cp0(CONFIG5) | CONFIG5_VECTOR);
	return NULL;
}

#define FOR_EACH(instruction, kind, numbers, size)                               \
	".set push\n"                                                            \
	".set hardfloat\n"                                                       \
	".set fp=64\n"                                                           \
	".set msa\n"                                                             \
	".irp register, " numbers "\n" instruction " $" kind "\\register, " size \
	" * (\\register & 15)(%0)\n"                                             \
	".endr\n"                                                                \
	".set pop"
#define LOWER "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15"
#define UPPER "16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31"

unsigned arch_registers_load(enum register_file file, const uint64_t *words)
{
	if (file == VECTOR) {
		__asm__ volatile(FOR_EACH("ld.d", "w", UPPER, "16") : : "r"(words) : "memory");
		return VECTOR_WORDS;
	}
	__asm__ volatile(FOR_EACH("ldc1", "f", LOWER, "8") : : "r"(words) : "memory");
	return WORDS;
}

unsigned arch_registers_store(enum register_file file, uint64_t *words)
{
	if (file == VECTOR) {
		__asm__ volatile(FOR_EACH("st.d", "w", UPPER, "16") : : "r"(words) : "memory");
		return VECTOR_WORDS;
	}
	__asm__ volatile(FOR_EACH("sdc1", "f", LOWER, "8") : : "r"(words) : "memory");
	return WORDS;
}
