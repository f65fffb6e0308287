/* SPDX-License-Identifier: MIT */
/* The 32 SIMD and floating-point registers of 128 bits: the first half counts as floating point,
 * the second as vector. */
#include <arch.h>
#include <arm-registers.h>

#define NO_TRAPS (3u << 20) /* CPACR_EL1.FPEN */
#define WORDS	 32

const char *arch_registers_open(enum register_file file)
{
	/* ID_AA64PFR0_EL1.FP: all ones means none. */
	if ((READ_REGISTER("id_aa64pfr0_el1") >> 16 & 0xf) == 0xf)
		return "the CPU has no floating point";
	WRITE_REGISTER("cpacr_el1", READ_REGISTER("cpacr_el1") | NO_TRAPS);
	return NULL;
}

unsigned arch_registers_load(enum register_file file, const uint64_t *words)
{
	if (file == FLOATING_POINT)
		__asm__ volatile("ldp q0, q1, [%0]\n"
				 "ldp q2, q3, [%0, #32]\n"
				 "ldp q4, q5, [%0, #64]\n"
				 "ldp q6, q7, [%0, #96]\n"
				 "ldp q8, q9, [%0, #128]\n"
				 "ldp q10, q11, [%0, #160]\n"
				 "ldp q12, q13, [%0, #192]\n"
				 "ldp q14, q15, [%0, #224]"
				 :
				 : "r"(words)
				 : "memory");
	else
		__asm__ volatile("ldp q16, q17, [%0]\n"
				 "ldp q18, q19, [%0, #32]\n"
				 "ldp q20, q21, [%0, #64]\n"
				 "ldp q22, q23, [%0, #96]\n"
				 "ldp q24, q25, [%0, #128]\n"
				 "ldp q26, q27, [%0, #160]\n"
				 "ldp q28, q29, [%0, #192]\n"
				 "ldp q30, q31, [%0, #224]"
				 :
				 : "r"(words)
				 : "memory");
	return WORDS;
}

unsigned arch_registers_store(enum register_file file, uint64_t *words)
{
	if (file == FLOATING_POINT)
		__asm__ volatile("stp q0, q1, [%0]\n"
				 "stp q2, q3, [%0, #32]\n"
				 "stp q4, q5, [%0, #64]\n"
				 "stp q6, q7, [%0, #96]\n"
				 "stp q8, q9, [%0, #128]\n"
				 "stp q10, q11, [%0, #160]\n"
				 "stp q12, q13, [%0, #192]\n"
				 "stp q14, q15, [%0, #224]"
				 :
				 : "r"(words)
				 : "memory");
	else
		__asm__ volatile("stp q16, q17, [%0]\n"
				 "stp q18, q19, [%0, #32]\n"
				 "stp q20, q21, [%0, #64]\n"
				 "stp q22, q23, [%0, #96]\n"
				 "stp q24, q25, [%0, #128]\n"
				 "stp q26, q27, [%0, #160]\n"
				 "stp q28, q29, [%0, #192]\n"
				 "stp q30, q31, [%0, #224]"
				 :
				 : "r"(words)
				 : "memory");
	return WORDS;
}
