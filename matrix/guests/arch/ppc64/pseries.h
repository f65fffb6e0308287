/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. Numbers are those of LoPAR, chapters 7 and 14. */
#ifndef PSERIES_H
#define PSERIES_H

#include <stdbool.h>
#include <stdint.h>

#define H_SUCCESS	0
#define H_BUSY		1
#define H_CI_LOAD	0x3c /* H_LOGICAL_CI_LOAD */
#define H_CI_STORE	0x40
#define H_GET_TERM_CHAR 0x54
#define H_PUT_TERM_CHAR 0x58
#define H_CEDE		0xe0
#define H_SET_MODE	0x31c
/* QEMU's own: what the RTAS blob, which nobody loads here, would call (hw/ppc/spapr_hcall.c). */
#define H_RTAS 0xf000

#define MSR_EE 0x8000ull

#define DECREMENTER_MAX 0x7fffffffu /* of a 32-bit one */

#define VECTORS_END 0x4000 /* memory that interrupts use */

/* Between the CPU's byte order and the big-endian one of RTAS and of the bytes of the console. */
static inline uint32_t big_endian32(uint32_t value)
{
	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? value : __builtin_bswap32(value);
}

static inline uint64_t big_endian64(uint64_t value)
{
	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? value : __builtin_bswap64(value);
}

/* What the interrupt handler tells the CPU it interrupted. */
struct cpu {
	uint64_t timer_clock; /* first thing in the handler; 0: no interrupt yet */
	uint64_t fault_at;    /* 0: a fault is not expected */
	unsigned faults;
	bool timer_proven;
};

/* smp.c */
struct cpu *this_cpu(void);

/* hypervisor.c. Four arguments in, three results out; returns the status. */
int64_t hypervisor_call(uint64_t number, uint64_t values[4]);
/* A service by its name in the device tree; returns its status, or -1 (hardware error) where this
 * machine does not have it. */
int32_t rtas_call(const char *service, unsigned arguments, const uint32_t *argument);
/* The same of a service that has a result beside the status. */
int32_t rtas_ask(const char *service, unsigned arguments, const uint32_t *argument,
		 uint32_t *result);
void rtas_open(void);

/* interrupts.c */
void install_vectors(void);
void set_external_interrupts(bool on);

/* console.c, timer.c: what the device tree says of them. */
void console_open(void);
void timer_open(void);

#endif
