/* SPDX-License-Identifier: MIT */
/* The boot CPU's local APIC: its timer, and interrupts to other vCPUs. */
#include <arch.h>
#include <guest.h>
#include <x86.h>

/* Registers, Intel SDM volume 3, table 11-1. */
#define APIC_ID		      0x020
#define APIC_END_OF_INTERRUPT 0x0b0
#define APIC_SPURIOUS	      0x0f0
#define APIC_COMMAND_LOW      0x300
#define APIC_COMMAND_HIGH     0x310
#define APIC_LVT_TIMER	      0x320
#define APIC_LVT_LINT0	      0x350
#define APIC_TIMER_INITIAL    0x380
#define APIC_TIMER_CURRENT    0x390
#define APIC_TIMER_DIVISOR    0x3e0

#define SPURIOUS_ENABLED  0x100
#define LVT_MASKED	  0x10000
#define LVT_EXTERNAL	  0x700
#define DIVIDE_BY_ONE	  0xb
#define COMMAND_PENDING	  0x1000
#define DESTINATION_SHIFT 24

#define MSR_APIC_BASE	  0x1b
#define APIC_BASE_X2APIC  0x400
#define APIC_BASE_ENABLED 0x800

static volatile uint32_t *apic;
static bool apic_usable;

static uint32_t apic_read(unsigned offset)
{
	return apic[offset / sizeof(*apic)];
}

static void apic_write(unsigned offset, uint32_t value)
{
	apic[offset / sizeof(*apic)] = value;
}

static uint64_t read_msr(uint32_t number)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	return (uint64_t)high << 32 | low;
}

void apic_init(void)
{
	const uint64_t base = read_msr(MSR_APIC_BASE);

	apic = (volatile uint32_t *)(uintptr_t)(base & 0xfffff000);
	apic_usable = base & APIC_BASE_ENABLED && !(base & APIC_BASE_X2APIC);
	if (!apic_usable)
		return;
	apic_write(APIC_SPURIOUS, SPURIOUS_ENABLED | VECTOR_SPURIOUS);
	apic_write(APIC_LVT_LINT0, LVT_EXTERNAL); /* the PIC, for the PIT's interrupt */
	apic_write(APIC_TIMER_DIVISOR, DIVIDE_BY_ONE);
	apic_timer_set_masked(true);
}

uint8_t apic_id(void)
{
	return (uint8_t)(apic_read(APIC_ID) >> DESTINATION_SHIFT);
}

void apic_end_of_interrupt(void)
{
	apic_write(APIC_END_OF_INTERRUPT, 0);
}

void apic_timer_set_masked(bool masked)
{
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER | (masked ? LVT_MASKED : 0));
}

void apic_timer_start(uint32_t count)
{
	apic_write(APIC_TIMER_INITIAL, count);
}

uint32_t apic_timer_count(void)
{
	return apic_read(APIC_TIMER_CURRENT);
}

const char *arch_timer_problem(void)
{
	return apic_usable ? NULL : "the local APIC is off, or in x2APIC mode";
}

void apic_send(uint8_t target, uint32_t command)
{
	apic_write(APIC_COMMAND_HIGH, (uint32_t)target << DESTINATION_SHIFT);
	apic_write(APIC_COMMAND_LOW, command);
	while (apic_read(APIC_COMMAND_LOW) & COMMAND_PENDING)
		cpu_relax();
}
