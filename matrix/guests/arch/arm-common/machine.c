/* SPDX-License-Identifier: MIT */
/* Start, vCPUs and end of QEMU's Arm "virt" machine. */
#include <arch.h>
#include <arm-registers.h>
#include <fdt-machine.h>
#include <guest.h>

#include "arm.h"
#include "layout.h"

_Static_assert(CPU_STACK_SIZE == STACK_SIZE, "start.S and arch.h disagree");
uint8_t cpu_stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));
static void (*entries[MAX_CPUS])(unsigned cpu);

void arch_init(uintptr_t boot_information)
{
	machine_open(boot_information, cpu_affinity(), (uintptr_t)image_start,
		     (uintptr_t)image_end);
	mmu_open();
	console_open();
	psci_open();
	timer_open();
}

_Noreturn void secondary_main(unsigned cpu)
{
	timer_open_cpu();
	entries[cpu](cpu);
	arch_hang();
}

const char *arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
	entries[cpu] = entry;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return psci_cpu_start(machine_cpu_id(cpu), (uintptr_t)secondary_start, cpu);
}

unsigned arch_cpu_number(void)
{
	return cpu_number_read();
}

_Noreturn void arch_hang(void)
{
	interrupts_disable();
	timer_off(); /* even a masked interrupt would wake it */
	for (;;)
		wait_for_interrupt();
}

_Noreturn void arch_exit(int code)
{
	char line[32];

	testdev_exit(code);
	snprintf(line, sizeof(line), "EXIT: STATUS=%d\n", code << 1 | 1);
	arch_console_write(line, strlen(line));
	psci_power_off();
	arch_hang();
}

unsigned arch_fault(const char **what)
{
	*what = "data abort: read of an address that is not mapped";
	faults_taken = 0;
	fault_probe(UNMAPPED_ADDRESS);
	return faults_taken;
}
