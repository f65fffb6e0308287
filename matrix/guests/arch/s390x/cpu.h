/* SPDX-License-Identifier: MIT */
/* A CPU's prefix area, its sleep, and what else the files of this folder share. */
#ifndef CPU_H
#define CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lowcore.h"

#define PSW_EXTERNAL (1ull << 56)
#define PSW_WAIT     (1ull << 49)
#define PSW_64_BIT   (3ull << 31)

#define CR0_CLOCK_COMPARATOR (1ull << 11)
#define CR0_CPU_TIMER	     (1ull << 10)
#define CR0_SERVICE_SIGNAL   (1ull << 9)
/* All of these registers may be used, where there are any. */
#define CR0_FLOATING_POINT (1ull << 18)
#define CR0_VECTOR	   (1ull << 17)

struct psw {
	uint64_t mask;
	uint64_t address;
};

/* One CPU's prefix area. */
struct lowcore {
	uint8_t reserved1[LC_EXTERNAL_CODE];
	uint16_t external_code;
	uint8_t reserved2[LC_PROGRAM_CODE - LC_EXTERNAL_CODE - 2];
	uint16_t program_code;
	uint8_t reserved3[LC_EXTERNAL_OLD_PSW - LC_PROGRAM_CODE - 2];
	struct psw external_old;
	struct psw service_call_old;
	struct psw program_old;
	uint8_t reserved4[LC_RESTART_NEW_PSW - LC_PROGRAM_OLD_PSW - 16];
	struct psw restart_new;
	struct psw external_new;
	struct psw service_call_new;
	struct psw program_new;
	uint8_t reserved5[LC_EXTERNAL_CLOCK - LC_PROGRAM_NEW_PSW - 16];
	uint64_t external_clock;
	uint64_t external_registers[16];
	uint64_t program_registers[16];
	uint64_t stack;
	void (*entry)(unsigned cpu);
	uint64_t fault_resume; /* 0: a fault is not expected */
	unsigned faults;
	unsigned number;
	bool timer_fired, guard_fired, service_fired;
	uint8_t padding[LC_SIZE - LC_SOFTWARE - 27];
};

_Static_assert(offsetof(struct lowcore, program_new) == LC_PROGRAM_NEW_PSW, "assigned by hardware");
_Static_assert(offsetof(struct lowcore, program_registers) == LC_PROGRAM_REGISTERS, "start.S");
_Static_assert(offsetof(struct lowcore, entry) == LC_SOFTWARE, "start.S");
_Static_assert(sizeof(struct lowcore) == LC_SIZE, "the prefix area");

/* This CPU's own. The assembly keeps the compiler from reasoning about a null pointer. */
static inline struct lowcore *lowcore(void)
{
	struct lowcore *here;

	__asm__("lghi %0, 0" : "=a"(here));
	return here;
}

/* interrupts.c: which external interrupts this CPU takes (CR0_…). */
void set_control_register_0(uint64_t subclasses);

/* Sleep until an external interrupt of one of these subclasses (CR0_…) has been taken. */
void wait_for(uint64_t subclasses);

/* Take the external interrupts of these subclasses that are pending. */
void let_in(uint64_t subclasses);

/* smp.c: first the boot CPU's own prefix area; once SCLP works, the list of the others. */
void smp_init(void);
void smp_find_cpus(void);
void stop_other_cpus(void);
_Noreturn void stop_this_cpu(void);

#endif
