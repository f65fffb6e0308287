/* SPDX-License-Identifier: MIT */
/* System registers and calls that aarch64 and arm share but spell differently: the A64 spelling. */
#ifndef ARM_REGISTERS_H
#define ARM_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

#define READ_REGISTER(name)                                                 \
	({                                                                  \
		uint64_t value_;                                            \
		__asm__ volatile("mrs %0, " name : "=r"(value_)::"memory"); \
		value_;                                                     \
	})
#define WRITE_REGISTER(name, value) \
	__asm__ volatile("msr " name ", %0\n\tisb" ::"r"((uint64_t)(value)) : "memory")

/* MPIDR's affinity fields, as the device tree writes them. */
static inline uint64_t cpu_affinity(void)
{
	return READ_REGISTER("mpidr_el1") & 0xff00ffffffu;
}

/* Software's own register: the CPU's number. */
static inline void cpu_number_write(unsigned number)
{
	WRITE_REGISTER("tpidr_el1", number);
}

static inline unsigned cpu_number_read(void)
{
	return (unsigned)READ_REGISTER("tpidr_el1");
}

/* Generic timer: the virtual and the physical one. Control: 1 is enabled, 0 is off. */
static inline uint64_t counter_read(void)
{
	__asm__ volatile("isb" ::: "memory");
	return READ_REGISTER("cntvct_el0");
}

static inline uint64_t physical_counter_read(void)
{
	__asm__ volatile("isb" ::: "memory");
	return READ_REGISTER("cntpct_el0");
}

static inline uint32_t counter_frequency(void)
{
	return (uint32_t)READ_REGISTER("cntfrq_el0");
}

static inline void virtual_timer_deadline(uint64_t count)
{
	WRITE_REGISTER("cntv_cval_el0", count);
}

static inline void virtual_timer_control(uint32_t control)
{
	WRITE_REGISTER("cntv_ctl_el0", control);
}

static inline void physical_timer_deadline(uint64_t count)
{
	WRITE_REGISTER("cntp_cval_el0", count);
}

static inline void physical_timer_control(uint32_t control)
{
	WRITE_REGISTER("cntp_ctl_el0", control);
}

/* GICv3 CPU interface; the registers' own names need a newer architecture level. */
#define ICC_PMR_EL1	"s3_0_c4_c6_0"
#define ICC_IAR1_EL1	"s3_0_c12_c12_0"
#define ICC_EOIR1_EL1	"s3_0_c12_c12_1"
#define ICC_SRE_EL1	"s3_0_c12_c12_5"
#define ICC_IGRPEN1_EL1 "s3_0_c12_c12_7"

static inline bool gic_registers_enable(void)
{
	WRITE_REGISTER(ICC_SRE_EL1, READ_REGISTER(ICC_SRE_EL1) | 1);
	return READ_REGISTER(ICC_SRE_EL1) & 1;
}

static inline void gic_registers_open(uint32_t priority_mask)
{
	WRITE_REGISTER(ICC_PMR_EL1, priority_mask);
	WRITE_REGISTER(ICC_IGRPEN1_EL1, 1);
}

static inline uint32_t gic_register_acknowledge(void)
{
	return (uint32_t)READ_REGISTER(ICC_IAR1_EL1);
}

static inline void gic_register_end(uint32_t interrupt)
{
	WRITE_REGISTER(ICC_EOIR1_EL1, interrupt);
}

static inline void interrupts_enable(void)
{
	__asm__ volatile("msr daifclr, #2\n\tisb" ::: "memory");
}

static inline void interrupts_disable(void)
{
	__asm__ volatile("msr daifset, #2" ::: "memory");
}

static inline void wait_for_interrupt(void)
{
	__asm__ volatile("dsb sy\n\twfi" ::: "memory");
}

/* After a change of the translation tables. */
static inline void translation_flush(void)
{
	__asm__ volatile("dsb ishst\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" ::: "memory");
}

/* This CPU's alone. */
static inline void translation_flush_local(void)
{
	__asm__ volatile("dsb nshst\n\ttlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
}

/* One call of the SMC calling convention; returns the first result. */
static inline long firmware_call(bool secure_monitor, unsigned long function, unsigned long first,
				 unsigned long second, unsigned long third)
{
	register unsigned long x0 __asm__("x0") = function;
	register unsigned long x1 __asm__("x1") = first;
	register unsigned long x2 __asm__("x2") = second;
	register unsigned long x3 __asm__("x3") = third;

#define CALL(instruction)                                                                         \
	__asm__ volatile(instruction " #0"                                                        \
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)                                 \
			 :                                                                        \
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", \
			   "x15", "x16", "x17", "memory")
	if (secure_monitor)
		CALL("smc");
	else
		CALL("hvc");
#undef CALL
	return (long)x0;
}

#endif
