/* SPDX-License-Identifier: MIT */
/* System registers and calls that aarch64 and arm share but spell differently: the A32 spelling. */
#ifndef ARM_REGISTERS_H
#define ARM_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

/* A cp15 register is (op1, CRn, CRm, op2), a 64-bit one (op1, CRm). */
#define READ_REGISTER(op1, crn, crm, op2)                                           \
	({                                                                          \
		uint32_t value_;                                                    \
		__asm__ volatile("mrc p15, " #op1 ", %0, " #crn ", " #crm ", " #op2 \
				 : "=r"(value_)::"memory");                         \
		value_;                                                             \
	})
#define WRITE_REGISTER(op1, crn, crm, op2, value)                           \
	__asm__ volatile("mcr p15, " #op1 ", %0, " #crn ", " #crm ", " #op2 \
			 "\n\tisb" ::"r"((uint32_t)(value))                 \
			 : "memory")
#define READ_REGISTER_64(op1, crm)                                                                \
	({                                                                                        \
		uint64_t value_;                                                                  \
		__asm__ volatile("mrrc p15, " #op1 ", %Q0, %R0, " #crm : "=r"(value_)::"memory"); \
		value_;                                                                           \
	})
#define WRITE_REGISTER_64(op1, crm, value)                                                        \
	__asm__ volatile("mcrr p15, " #op1 ", %Q0, %R0, " #crm "\n\tisb" ::"r"((uint64_t)(value)) \
			 : "memory")

/* MPIDR's affinity fields, as the device tree writes them. */
static inline uint64_t cpu_affinity(void)
{
	return READ_REGISTER(0, c0, c0, 5) & 0xffffffu;
}

/* Software's own register, TPIDRPRW: the CPU's number. */
static inline void cpu_number_write(unsigned number)
{
	WRITE_REGISTER(0, c13, c0, 4, number);
}

static inline unsigned cpu_number_read(void)
{
	return READ_REGISTER(0, c13, c0, 4);
}

/* Generic timer: the virtual and the physical one. Control: 1 is enabled, 0 is off. */
static inline uint64_t counter_read(void)
{
	__asm__ volatile("isb" ::: "memory");
	return READ_REGISTER_64(1, c14); /* CNTVCT */
}

static inline uint64_t physical_counter_read(void)
{
	__asm__ volatile("isb" ::: "memory");
	return READ_REGISTER_64(0, c14); /* CNTPCT */
}

static inline uint32_t counter_frequency(void)
{
	return READ_REGISTER(0, c14, c0, 0); /* CNTFRQ */
}

static inline void virtual_timer_deadline(uint64_t count)
{
	WRITE_REGISTER_64(3, c14, count); /* CNTV_CVAL */
}

static inline void virtual_timer_control(uint32_t control)
{
	WRITE_REGISTER(0, c14, c3, 1, control); /* CNTV_CTL */
}

static inline void physical_timer_deadline(uint64_t count)
{
	WRITE_REGISTER_64(2, c14, count); /* CNTP_CVAL */
}

static inline void physical_timer_control(uint32_t control)
{
	WRITE_REGISTER(0, c14, c2, 1, control); /* CNTP_CTL */
}

/* GICv3 CPU interface. */
static inline bool gic_registers_enable(void)
{
	WRITE_REGISTER(0, c12, c12, 5, READ_REGISTER(0, c12, c12, 5) | 1); /* ICC_SRE */
	return READ_REGISTER(0, c12, c12, 5) & 1;
}

static inline void gic_registers_open(uint32_t priority_mask)
{
	WRITE_REGISTER(0, c4, c6, 0, priority_mask); /* ICC_PMR */
	WRITE_REGISTER(0, c12, c12, 7, 1);	     /* ICC_IGRPEN1 */
}

static inline uint32_t gic_register_acknowledge(void)
{
	return READ_REGISTER(0, c12, c12, 0); /* ICC_IAR1 */
}

static inline void gic_register_end(uint32_t interrupt)
{
	WRITE_REGISTER(0, c12, c12, 1, interrupt); /* ICC_EOIR1 */
}

static inline void interrupts_enable(void)
{
	__asm__ volatile("cpsie i\n\tisb" ::: "memory");
}

static inline void interrupts_disable(void)
{
	__asm__ volatile("cpsid i" ::: "memory");
}

static inline void wait_for_interrupt(void)
{
	__asm__ volatile("dsb sy\n\twfi" ::: "memory");
}

/* After a change of the translation tables. */
static inline void translation_flush(void)
{
	__asm__ volatile("dsb ishst" ::: "memory");
	WRITE_REGISTER(0, c8, c3, 0, 0); /* TLBIALLIS */
	__asm__ volatile("dsb ish\n\tisb" ::: "memory");
}

/* This CPU's alone. */
static inline void translation_flush_local(void)
{
	__asm__ volatile("dsb nshst" ::: "memory");
	WRITE_REGISTER(0, c8, c7, 0, 0); /* TLBIALL */
	__asm__ volatile("dsb nsh\n\tisb" ::: "memory");
}

/* One call of the SMC calling convention; returns the first result. */
static inline long firmware_call(bool secure_monitor, unsigned long function, unsigned long first,
				 unsigned long second, unsigned long third)
{
	register unsigned long r0 __asm__("r0") = function;
	register unsigned long r1 __asm__("r1") = first;
	register unsigned long r2 __asm__("r2") = second;
	register unsigned long r3 __asm__("r3") = third;

	if (secure_monitor)
		__asm__ volatile(".arch_extension sec\n\tsmc #0"
				 : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)::"memory");
	else
		__asm__ volatile(".arch_extension virt\n\thvc #0"
				 : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)::"memory");
	return (long)r0;
}

#endif
