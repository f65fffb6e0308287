/* SPDX-License-Identifier: MIT */
/* vCPUs, started by RTAS. */
#include <arch.h>
#include <fdt-machine.h>
#include <guest.h>

#include "pseries.h"

extern char start_secondary_cpu[];

uint64_t secondary_stacks[MAX_CPUS]; /* initial stack pointers, for start.S */

_Noreturn void secondary_main(uint64_t number);

static uint8_t stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));
static void (*entries[MAX_CPUS])(unsigned cpu);
static struct cpu cpus[MAX_CPUS];

struct cpu *this_cpu(void)
{
	return &cpus[arch_cpu_number()];
}

_Noreturn void secondary_main(uint64_t number)
{
	entries[number]((unsigned)number);
	arch_hang();
}

unsigned arch_cpu_number(void)
{
	uint64_t number;

	__asm__ volatile("mfsprg %0, 0" : "=r"(number));
	return (unsigned)number;
}

const char *arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
	const uint32_t argument[3] = { (uint32_t)machine_cpu_id(cpu),
				       (uint32_t)(uintptr_t)start_secondary_cpu, cpu };

	entries[cpu] = entry;
	secondary_stacks[cpu] = (uintptr_t)stacks[cpu] + STACK_SIZE;
	__asm__ volatile("sync" : : : "memory");
	return rtas_call("start-cpu", 3, argument) == 0 ? NULL : "RTAS start-cpu refused";
}
