/* SPDX-License-Identifier: MIT */
/* arm: what becomes of exceptions (Arm ARM DDI 0406, B1.9). */
#include <arch.h>
#include <arm-registers.h>

#include "arm.h"

/* Places in the vector table. */
enum {
	UNDEFINED = 1,
	SUPERVISOR_CALL = 2,
	PREFETCH_ABORT = 3,
	DATA_ABORT = 4,
	INTERRUPT = 6,
	FAST_INTERRUPT = 7,
};

unsigned faults_taken;

void exception_handler(uint32_t *return_address, unsigned vector);

static void data_abort(uint32_t *return_address)
{
	uint32_t address = READ_REGISTER(0, c6, c0, 0); /* DFAR */

	if (address != UNMAPPED_ADDRESS || *return_address != (uintptr_t)fault_probe)
		guest_unhandled("data abort", address);
	faults_taken++;
	*return_address += 4;
}

void exception_handler(uint32_t *return_address, unsigned vector)
{
	switch (vector) {
	case INTERRUPT:
		interrupt_handler();
		break;
	case DATA_ABORT:
		data_abort(return_address);
		break;
	case UNDEFINED:
		guest_unhandled("undefined instruction", *return_address);
	case SUPERVISOR_CALL:
		guest_unhandled("supervisor call", *return_address);
	case PREFETCH_ABORT:
		guest_unhandled("prefetch abort", *return_address);
	case FAST_INTERRUPT:
		guest_unhandled("fast interrupt", *return_address);
	default:
		guest_unhandled("exception of an unexpected kind", *return_address);
	}
}
