/* SPDX-License-Identifier: MIT */
/* What the parts of loongarch64 offer each other. */
#ifndef LOONGARCH_H
#define LOONGARCH_H

#include <arch.h>

#include "layout.h"

#define csr_read(number)                                                                      \
	({                                                                                    \
		uint64_t read_value;                                                          \
		__asm__ volatile("csrrd %0, %1" : "=r"(read_value) : "i"(number) : "memory"); \
		read_value;                                                                   \
	})

/* The bits of mask become those of value. */
#define csr_change(number, value, mask)                               \
	({                                                            \
		uint64_t written_value = (value);                     \
		__asm__ volatile("csrxchg %0, %1, %2"                 \
				 : "+r"(written_value)                \
				 : "r"((uint64_t)(mask)), "i"(number) \
				 : "memory");                         \
	})

#define csr_write(number, value)                                                                 \
	({                                                                                       \
		uint64_t written_value = (value);                                                \
		__asm__ volatile("csrwr %0, %1" : "+r"(written_value) : "i"(number) : "memory"); \
	})

static inline uint32_t cpu_configuration(uint32_t word)
{
	uint32_t value;

	__asm__("cpucfg %0, %1" : "=r"(value) : "r"(word));
	return value;
}

/* start.S */
extern char image_start[], image_end[];
void secondary_start(void);

/* machine.c */
extern uint8_t cpu_stacks[MAX_CPUS][STACK_SIZE];
_Noreturn void secondary_main(uint64_t number);

/* console.c */
void console_open(void);

/* fw-cfg.c: what the device tree does not tell. */
void fw_cfg_read_command_line(void);
void fw_cfg_read_memory(void);

/* timer.c */
void timer_off(void);
void timer_interrupt(uint64_t now);

#endif
