/* SPDX-License-Identifier: MIT */
/* Exceptions: the timer's interrupt, and faults that were provoked. */
#include <arch.h>
#include <guest.h>

#include "frame.h"
#include "malta.h"

struct frame {
	uint64_t registers[18];
	uint64_t epc;
};

_Static_assert(offsetof(struct frame, epc) == FRAME_EPC, "start.S");
_Static_assert(sizeof(struct frame) <= FRAME_SIZE, "start.S");

void exception(uint32_t cause, struct frame *frame);

void exception(uint32_t cause, struct frame *frame)
{
	struct cpu *cpu = this_cpu();
	char what[32];

	if (CAUSE_CODE(cause) == CODE_INTERRUPT && cause & timer_mask()) {
		timer_interrupt();
	} else if (CAUSE_CODE(cause) == CODE_TLB_LOAD && cpu->fault_resume != 0) {
		cpu->faults++;
		frame->epc = cpu->fault_resume;
		cpu->fault_resume = 0;
	} else {
		snprintf(what, sizeof(what), "exception %u", CAUSE_CODE(cause));
		guest_unhandled(what, frame->epc);
	}
}

unsigned arch_fault(const char **what)
{
	struct cpu *cpu = this_cpu();
	uint64_t scratch;

	cpu->faults = 0;
	__asm__ volatile("dla %0, 1f\n"
			 "sd %0, %1\n"
			 "ld %0, 0(%2)\n"
			 "1:"
			 : "=&r"(scratch), "=m"(cpu->fault_resume)
			 : "r"(UNMAPPED)
			 : "memory");
	cpu->fault_resume = 0;
	*what = "TLB refill, a read of an address that is not mapped";
	return cpu->faults;
}
