/* SPDX-License-Identifier: MIT */
/* A CPU's sleep, and what external and program interrupts do. */
#include <arch.h>
#include <guest.h>

#include "cpu.h"

#define CODE_CLOCK_COMPARATOR 0x1004
#define CODE_CPU_TIMER	      0x1005
#define CODE_SERVICE_SIGNAL   0x2401

void external_interrupt(void);
void program_interrupt(void);

void set_control_register_0(uint64_t subclasses)
{
	const uint64_t value = subclasses | CR0_FLOATING_POINT | CR0_VECTOR;

	__asm__ volatile("lctlg 0, 0, %0" : : "Q"(value) : "memory");
}

void wait_for(uint64_t subclasses)
{
	struct psw psw = { .mask = PSW_64_BIT | PSW_WAIT | PSW_EXTERNAL };

	set_control_register_0(subclasses);
	__asm__ volatile("larl %%r1, 0f\n"
			 "stg %%r1, 8(%0)\n"
			 "lpswe 0(%0)\n"
			 "0:"
			 :
			 : "a"(&psw)
			 : "r1", "cc", "memory");
	set_control_register_0(0);
}

void let_in(uint64_t subclasses)
{
	set_control_register_0(subclasses);
	__asm__ volatile("stosm 0(%0), 0x01\n" /* external interrupts on */
			 "stnsm 0(%0), 0xfe"
			 :
			 : "a"(&(uint8_t){ 0 })
			 : "cc", "memory");
	set_control_register_0(0);
}

void external_interrupt(void)
{
	struct lowcore *core = lowcore();

	switch (core->external_code) {
	case CODE_CLOCK_COMPARATOR:
		core->timer_fired = true;
		break;
	case CODE_CPU_TIMER:
		core->guard_fired = true;
		break;
	case CODE_SERVICE_SIGNAL:
		core->service_fired = true;
		break;
	default:
		guest_unhandled("external interrupt", core->external_old.address);
	}
	/* Back to after the wait, which ends so. */
	core->external_old.mask &= ~(PSW_WAIT | PSW_EXTERNAL);
}

void program_interrupt(void)
{
	struct lowcore *core = lowcore();

	if (core->fault_resume == 0)
		guest_unhandled("program interruption", core->program_old.address);
	core->faults++;
	core->program_old.address = core->fault_resume;
	core->fault_resume = 0;
}
