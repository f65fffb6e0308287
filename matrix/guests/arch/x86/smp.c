/* SPDX-License-Identifier: MIT */
/* vCPUs: the list of them, and their start by the boot CPU's local APIC. */
#include <arch.h>
#include <guest.h>
#include <x86.h>

/* A start that has not been seen to work is repeated after this many µs, up to so many times: on
 * a loaded host under TCG the other vCPU's thread may not have run yet. */
#define INIT_DELAY     200
#define START_INTERVAL 10000
#define START_ATTEMPTS 1000

static unsigned cpus = 1;
static uint8_t apic_ids[MAX_CPUS]; /* by this project's CPU numbers: the boot CPU is 0 */
static bool online[MAX_CPUS];

/* Read by the vCPU that starts. */
uint32_t starting_cpu, starting_stack;
static void (*starting_entry)(unsigned cpu);

void cpu_main(unsigned cpu);

/* Number the CPUs as ACPI lists them, the boot CPU first. */
void smp_init(const struct acpi *acpi)
{
	unsigned used = 1;
	uint8_t boot;

	if (arch_timer_problem()) /* without a usable local APIC nobody can start the others */
		return;
	boot = apic_id();
	apic_ids[0] = boot;
	if (!acpi->cpus) { /* no tables: the usual numbers */
		cpus = firmware_cpu_count();
		for (unsigned id = 0; used < cpus && used < MAX_CPUS; id++) {
			if (id != boot)
				apic_ids[used++] = (uint8_t)id;
		}
		return;
	}
	cpus = acpi->cpus;
	for (unsigned i = 0; i < acpi->cpus && i < acpi->cpu_limit && used < MAX_CPUS; i++) {
		if (acpi->apic_ids[i] != boot)
			apic_ids[used++] = acpi->apic_ids[i];
	}
}

unsigned arch_cpu_count(void)
{
	return cpus;
}

/* Each CPU runs on the stack of its number. */
unsigned arch_cpu_number(void)
{
	return (unsigned)(((uintptr_t)__builtin_frame_address(0) - (uintptr_t)stacks) / STACK_SIZE);
}

/* A started vCPU's first C code. */
void cpu_main(unsigned cpu)
{
	void (*entry)(unsigned cpu) = starting_entry;

	interrupts_load();
	__atomic_store_n(&online[cpu], true, __ATOMIC_RELEASE); /* the next one may be started */
	entry(cpu);
}

const char *arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
	if (!cpu || cpu >= cpus || cpu >= MAX_CPUS)
		return "there is no such vCPU";
	memcpy((void *)TRAMPOLINE, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	starting_cpu = cpu;
	starting_stack = (uint32_t)(uintptr_t)(stacks + (cpu + 1) * STACK_SIZE);
	starting_entry = entry;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	apic_send(apic_ids[cpu], APIC_INIT);
	clock_delay(INIT_DELAY);
	for (unsigned attempt = 0; attempt < START_ATTEMPTS; attempt++) {
		apic_send(apic_ids[cpu], APIC_START | TRAMPOLINE >> 12);
		for (unsigned waited = 0; waited < START_INTERVAL; waited += INIT_DELAY) {
			if (__atomic_load_n(&online[cpu], __ATOMIC_ACQUIRE))
				return NULL;
			clock_delay(INIT_DELAY);
		}
	}
	return "it did not come up within 10 s of its start-up interrupt";
}
