/* SPDX-License-Identifier: MIT */
/* The 32 VFP and NEON registers of 64 bits: the first half counts as floating point, the second,
 * which needs NEON, as vector. */
#include <arch.h>
#include <arm-registers.h>

#define ACCESS	       (0xfu << 20) /* CPACR: cp10 and cp11 */
#define NO_UPPER       (1u << 30)   /* CPACR.D32DIS */
#define ENABLE	       (1u << 30)   /* FPEXC.EN */
#define WORDS	       16
#define REGISTERS_MASK 0xfu /* MVFR0: 2 means 32 of them */
#define FPU	       ".fpu neon-vfpv4\n"

static void set_access(uint32_t access)
{
	WRITE_REGISTER(0, c1, c0, 2, access);
}

const char *arch_registers_open(enum register_file file)
{
	uint32_t features;

	set_access((READ_REGISTER(0, c1, c0, 2) | ACCESS) & ~NO_UPPER);
	if ((READ_REGISTER(0, c1, c0, 2) & ACCESS) != ACCESS)
		return "the CPU has no floating point";
	__asm__ volatile(FPU "vmsr fpexc, %0" : : "r"(ENABLE) : "memory");
	__asm__ volatile(FPU "vmrs %0, mvfr0" : "=r"(features));
	if (file == VECTOR && (features & REGISTERS_MASK) < 2)
		return "the CPU has no NEON";
	return NULL;
}

unsigned arch_registers_load(enum register_file file, const uint64_t *words)
{
	if (file == FLOATING_POINT)
		__asm__ volatile(FPU "vldmia %0, {d0-d15}" : : "r"(words) : "memory");
	else
		__asm__ volatile(FPU "vldmia %0, {d16-d31}" : : "r"(words) : "memory");
	return WORDS;
}

unsigned arch_registers_store(enum register_file file, uint64_t *words)
{
	if (file == FLOATING_POINT)
		__asm__ volatile(FPU "vstmia %0, {d0-d15}" : : "r"(words) : "memory");
	else
		__asm__ volatile(FPU "vstmia %0, {d16-d31}" : : "r"(words) : "memory");
	return WORDS;
}
