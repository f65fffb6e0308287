/* SPDX-License-Identifier: MIT */
/* The Supervisor Binary Interface of the firmware below (RISC-V SBI specification 2.0). */
#ifndef SBI_H
#define SBI_H

#include <stdbool.h>

#define SBI_LEGACY_PUT_CHARACTER  1
#define SBI_BASE		  0x10
#define SBI_BASE_PROBE		  3
#define SBI_TIME		  0x54494d45
#define SBI_TIME_SET_TIMER	  0
#define SBI_INTERRUPT		  0x735049
#define SBI_INTERRUPT_SEND	  0
#define SBI_HART_STATE		  0x48534d
#define SBI_HART_STATE_START	  0
#define SBI_SYSTEM_RESET	  0x53525354
#define SBI_SYSTEM_RESET_RESET	  0
#define SBI_SYSTEM_RESET_SHUTDOWN 0

struct sbi_result {
	long error, value;
};

static inline struct sbi_result sbi_call(unsigned long extension, unsigned long function,
					 unsigned long first, unsigned long second,
					 unsigned long third)
{
	register unsigned long a0 __asm__("a0") = first;
	register unsigned long a1 __asm__("a1") = second;
	register unsigned long a2 __asm__("a2") = third;
	register unsigned long a6 __asm__("a6") = function;
	register unsigned long a7 __asm__("a7") = extension;

	__asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
	return (struct sbi_result){ (long)a0, (long)a1 };
}

static inline bool sbi_has(unsigned long extension)
{
	struct sbi_result result = sbi_call(SBI_BASE, SBI_BASE_PROBE, extension, 0, 0);

	return result.error == 0 && result.value != 0;
}

#endif
