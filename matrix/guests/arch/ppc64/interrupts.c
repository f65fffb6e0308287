/* SPDX-License-Identifier: MIT */
/* Interrupt vectors, the decrementer's interrupt, and faults that were provoked. */
#include <arch.h>
#include <guest.h>

#include "frame.h"
#include "pseries.h"

#define H_SET_MODE_RESOURCE_LITTLE_ENDIAN 4 /* interrupts are taken in that byte order */

#define VECTOR_FIRST	   0x100
#define VECTOR_PROGRAM	   0x700
#define VECTOR_DECREMENTER 0x900
#define VECTOR_CLOSE	   0xf00 /* from here on they are 0x20 apart instead of 0x80 */
#define VECTOR_LAST	   0xf80

struct frame {
	uint64_t header[4];
	uint64_t registers[11];
	uint64_t lr, ctr, xer, cr, srr0, srr1;
};

_Static_assert(offsetof(struct frame, registers) == FRAME_GPR, "start.S");
_Static_assert(offsetof(struct frame, srr1) == FRAME_SRR1, "start.S");
_Static_assert(sizeof(struct frame) <= FRAME_SIZE, "start.S");

extern const uint32_t vector_template[], vector_template_number[], vector_template_end[];

void interrupt(uint64_t clock, uint64_t vector, struct frame *frame);

static uint64_t machine_state(void)
{
	uint64_t state;

	__asm__ volatile("mfmsr %0" : "=r"(state));
	return state;
}

void set_external_interrupts(bool on)
{
	uint64_t state = on ? machine_state() | MSR_EE : machine_state() & ~MSR_EE;

	__asm__ volatile("mtmsrd %0, 1" : : "r"(state) : "memory");
}

void interrupt(uint64_t clock, uint64_t vector, struct frame *frame)
{
	struct cpu *cpu = this_cpu();

	if (vector == VECTOR_DECREMENTER) {
		__asm__ volatile("mtdec %0" : : "r"((uint64_t)DECREMENTER_MAX));
		cpu->timer_clock = clock;
		frame->srr1 &= ~MSR_EE; /* one is enough */
	} else if (vector == VECTOR_PROGRAM && frame->srr0 == cpu->fault_at) {
		cpu->faults++;
		frame->srr0 += 4;
	} else {
		char what[32];

		snprintf(what, sizeof(what), "interrupt 0x%x", (unsigned)vector);
		guest_unhandled(what, frame->srr0);
	}
}

void install_vectors(void)
{
	const size_t number = (size_t)(vector_template_number - vector_template);
	const size_t length = (size_t)(vector_template_end - vector_template);

	for (unsigned vector = VECTOR_FIRST; vector <= VECTOR_LAST;
	     vector += vector < VECTOR_CLOSE ? 0x80 : 0x20) {
		uint32_t *code = (uint32_t *)(uintptr_t)vector;

		memcpy(code, vector_template, length * sizeof(*code));
		code[number] |= vector; /* li takes 16 bits */
		__asm__ volatile("dcbst 0, %0\n"
				 "sync\n"
				 "icbi 0, %0\n"
				 "isync"
				 :
				 : "r"(code)
				 : "memory");
	}
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		hypervisor_call(H_SET_MODE, (uint64_t[4]){ 1, H_SET_MODE_RESOURCE_LITTLE_ENDIAN });
}

unsigned arch_fault(const char **what)
{
	struct cpu *cpu = this_cpu();

	cpu->faults = 0;
	__asm__ volatile("lis 9, 0f@ha\n"
			 "addi 9, 9, 0f@l\n"
			 "std 9, %0\n"
			 "0: .long 0" /* for ever illegal */
			 : "=m"(cpu->fault_at)
			 :
			 : "r9", "memory");
	cpu->fault_at = 0;
	*what = "illegal instruction (program interrupt; the MMU is off)";
	return cpu->faults;
}
