/* SPDX-License-Identifier: MIT */
/*
 * The generic timer's virtual counter and timer. The physical timer is the watchdog that wakes the
 * CPU where the virtual one's interrupt does not come.
 */
#include <arch.h>
#include <arm-registers.h>
#include <fdt.h>

#include "arm.h"

#define ENABLE	     1u
#define PRIVATE_BASE 16u /* interrupt number of private peripheral interrupt 0 */

/* Places in the "interrupts" of the timer's node: secure physical, physical, virtual, … */
enum { PHYSICAL = 1, VIRTUAL = 2, CELLS = 3 };

static unsigned interrupts[2]; /* of the virtual timer and of the watchdog */
static const char *missing = "the timer has not been set up";
/* By CPU: the clock in the handler; 0 where the interrupt has not come. */
static volatile uint64_t woken[MAX_CPUS];

static const char *find_interrupts(void)
{
	struct fdt_node node = { 0 };
	uint32_t virtual, physical;

	if (!fdt_next_compatible(&node, "arm,armv8-timer")) {
		node = (struct fdt_node){ 0 };
		if (!fdt_next_compatible(&node, "arm,armv7-timer"))
			return "the device tree has no generic timer";
	}
	if (!fdt_cell(&node, "interrupts", VIRTUAL * CELLS + 1, &virtual) ||
	    !fdt_cell(&node, "interrupts", PHYSICAL * CELLS + 1, &physical))
		return "the device tree does not say which interrupts the timer has";
	interrupts[0] = PRIVATE_BASE + virtual;
	interrupts[1] = PRIVATE_BASE + physical;
	return NULL;
}

void timer_open(void)
{
	missing = gic_open();
	if (missing == NULL)
		missing = find_interrupts();
	timer_open_cpu();
}

void timer_open_cpu(void)
{
	const char *reason;

	timer_off();
	if (missing != NULL)
		return;
	reason = gic_open_cpu(interrupts, 2);
	if (reason != NULL)
		missing = reason;
}

void timer_off(void)
{
	virtual_timer_control(0);
	physical_timer_control(0);
}

void interrupt_handler(void)
{
	uint64_t now = counter_read();
	uint32_t token;
	unsigned interrupt = gic_acknowledge(&token);

	if (interrupt >= GIC_SPURIOUS && interrupt < GIC_MESSAGES)
		return;
	if (interrupt == interrupts[0]) {
		virtual_timer_control(0);
		woken[arch_cpu_number()] = now;
	} else if (interrupt == interrupts[1]) {
		physical_timer_control(0);
	} else if (!pci_interrupt_taken(interrupt) && !pci_message_taken(interrupt)) {
		guest_unhandled("interrupt", interrupt);
	}
	gic_end(token);
}

uint64_t arch_timer_sleep(uint64_t deadline)
{
	volatile uint64_t *const here = &woken[arch_cpu_number()];
	uint64_t now = counter_read();
	uint64_t patience = arch_clock_frequency() + (deadline > now ? deadline - now : 0);

	*here = 0;
	physical_timer_deadline(physical_counter_read() + patience);
	physical_timer_control(ENABLE);
	virtual_timer_deadline(deadline);
	virtual_timer_control(ENABLE);
	/* Asleep with interrupts masked, so that none is taken between the check and the sleep. */
	while (*here == 0 && counter_read() - now < patience) {
		wait_for_interrupt();
		interrupts_enable();
		interrupts_disable();
	}
	timer_off();
	return *here;
}

uint64_t arch_clock(void)
{
	return counter_read();
}

uint64_t arch_clock_frequency(void)
{
	return counter_frequency();
}

const char *arch_timer_problem(void)
{
	return missing;
}
