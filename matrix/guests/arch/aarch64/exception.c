/* SPDX-License-Identifier: MIT */
/* aarch64: what becomes of exceptions. Numbers: Arm ARM DDI 0487, D1.3 and ESR_ELx. */
#include <arch.h>
#include <arm-registers.h>

#include "arm.h"

/* Places in the vector table: from EL1 on its own stack pointer. */
enum { SYNCHRONOUS = 4, INTERRUPT = 5, FAST_INTERRUPT = 6, SYSTEM_ERROR = 7 };

#define CLASS(syndrome)	 ((syndrome) >> 26 & 0x3f)
#define CLASS_DATA_ABORT 0x25

unsigned faults_taken;

void exception_handler(uint64_t *return_address, unsigned vector);

static const char *class_name(unsigned class)
{
	switch (class) {
	case 0x00:
		return "undefined instruction";
	case 0x07:
		return "use of floating point";
	case 0x0e:
		return "illegal execution state";
	case 0x15:
		return "supervisor call";
	case 0x21:
		return "instruction abort";
	case 0x22:
		return "misaligned program counter";
	case CLASS_DATA_ABORT:
		return "data abort";
	case 0x26:
		return "misaligned stack pointer";
	case 0x2f:
		return "SError";
	case 0x3c:
		return "breakpoint instruction";
	default:
		return "exception of an unexpected class";
	}
}

static void synchronous(uint64_t *return_address)
{
	unsigned class = CLASS(READ_REGISTER("esr_el1"));
	uint64_t address = READ_REGISTER("far_el1");

	if (class == CLASS_DATA_ABORT && address == UNMAPPED_ADDRESS &&
	    *return_address == (uintptr_t)fault_probe) {
		faults_taken++;
		*return_address += 4;
		return;
	}
	guest_unhandled(class_name(class), class == CLASS_DATA_ABORT ? address : *return_address);
}

void exception_handler(uint64_t *return_address, unsigned vector)
{
	switch (vector) {
	case SYNCHRONOUS:
		synchronous(return_address);
		break;
	case INTERRUPT:
		interrupt_handler();
		break;
	case FAST_INTERRUPT:
		guest_unhandled("fast interrupt", *return_address);
	case SYSTEM_ERROR:
		guest_unhandled("SError", *return_address);
	default:
		guest_unhandled("exception from another exception level", *return_address);
	}
}
