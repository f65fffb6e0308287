/* SPDX-License-Identifier: MIT */
/* Registers of CPU and board, and what the files of this folder share. */
#ifndef MALTA_H
#define MALTA_H

#include <stdbool.h>
#include <stdint.h>

/* Physical addresses. RAM is seen in full at 2 GiB, and its first 256 MiB also at 0. */
#define RAM	    0x80000000ull
#define PCI_MEMORY  0x10000000u /* the same on both sides of the bridge */
#define PCI_IO	    0x18000000u
#define GIC	    0x1bdc0000u
#define CPC	    0x1bde0000u
#define GT64120	    0x1be00000u
#define KSEG0_MASK  0x1fffffffu
#define KSEG0	    0xffffffff80000000ull
#define XKPHYS_MASK 0x07ffffffffffffffull

#define CACHED(physical)   (0x9800000000000000ull | (physical)) /* xkphys, coherent */
#define UNCACHED(physical) (0x9000000000000000ull | (physical))
#define UNMAPPED	   0xc000000000001000ull /* xkseg, for which the TLB has nothing */

#define CAUSE_CODE(cause) ((cause) >> 2 & 31)
#define CODE_INTERRUPT	  0
#define CODE_TLB_LOAD	  2
#define STATUS_IE	  1u
#define STATUS_IM	  0xff00u
#define CONFIG3_CMGCR	  (1u << 29)

#define read_cp0(name)                                                             \
	({                                                                         \
		uint32_t cp0_value;                                                \
		__asm__ volatile("mfc0 %0, " name : "=r"(cp0_value) : : "memory"); \
		cp0_value;                                                         \
	})
#define write_cp0(name, value) \
	__asm__ volatile("mtc0 %0, " name "\n\tehb" : : "r"(value) : "memory")
#define COUNT		  "$9"
#define ENTRY_HIGH	  "$10"
#define COMPARE		  "$11"
#define STATUS		  "$12"
#define CAUSE		  "$13"
#define INTERRUPT_CONTROL "$12, 1"
#define EBASE		  "$15, 1"
#define CMGCR_BASE	  "$15, 3"
#define CONFIG3		  "$16, 3"

/* What the exception handler tells the CPU it interrupted. */
struct cpu {
	uint64_t timer_clock;  /* first thing in the handler; 0: no interrupt yet */
	uint64_t fault_resume; /* 0: a fault is not expected */
	unsigned faults;
	bool timer_proven;
};

#define GCR_GIC_BASE	0x0080 /* of the coherence manager */
#define GCR_BASE_ENABLE 1u
extern uint64_t coherence; /* the coherence manager's registers; 0: there is none */

static inline uint8_t read8(uint64_t address)
{
	return *(volatile uint8_t *)address;
}

static inline uint16_t read16(uint64_t address)
{
	return *(volatile uint16_t *)address;
}

static inline uint32_t read32(uint64_t address)
{
	return *(volatile uint32_t *)address;
}

static inline uint64_t read64(uint64_t address)
{
	return *(volatile uint64_t *)address;
}

static inline void write8(uint64_t address, uint8_t value)
{
	*(volatile uint8_t *)address = value;
}

static inline void write16(uint64_t address, uint16_t value)
{
	*(volatile uint16_t *)address = value;
}

static inline void write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

static inline void write64(uint64_t address, uint64_t value)
{
	*(volatile uint64_t *)address = value;
}

/* cps.c: find the coherence manager and the CPUs; this CPU's record; run what arch_cpu_start was
 * given for this CPU, then power it down. */
void cps_init(void);
struct cpu *this_cpu(void);
_Noreturn void cps_run_entry(unsigned cpu);

/* timer.c. For each CPU, before it sleeps. */
void timer_enable(void);
/* Once: find the clock's frequency; takes 10 ms. */
void timer_measure(void);
/* The bit of Cause.IP and Status.IM by which the timer interrupts, and what is then to be done. */
uint32_t timer_mask(void);
void timer_interrupt(void);

#endif
