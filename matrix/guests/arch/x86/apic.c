/* SPDX-License-Identifier: MIT */
/* The local APIC: the boot CPU's timer, and the start of the other vCPUs. */
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
#define COMMAND_INIT	  0x4500 /* level, assert */
#define COMMAND_START	  0x4600
#define DESTINATION_SHIFT 24

#define MSR_APIC_BASE	  0x1b
#define APIC_BASE_X2APIC  0x400
#define APIC_BASE_ENABLED 0x800

/* A start that has not been seen to work is repeated after this many µs, up to so many times: on
 * a loaded host under TCG the other vCPU's thread may not have run yet. */
#define INIT_DELAY     200
#define START_INTERVAL 10000
#define START_ATTEMPTS 1000

static volatile uint32_t *apic;
static bool apic_usable;
static unsigned cpus;
static uint8_t apic_ids[MAX_CPUS]; /* by this project's CPU numbers: the boot CPU is 0 */
static bool online[MAX_CPUS];

/* Read by the vCPU that starts. */
uint32_t starting_cpu, starting_stack;
static void (*starting_entry)(unsigned cpu);

void cpu_main(unsigned cpu);

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

/* Number the CPUs as ACPI lists them, the boot CPU first. */
static void number_cpus(const struct acpi *acpi)
{
	const uint8_t boot = (uint8_t)(apic_read(APIC_ID) >> DESTINATION_SHIFT);
	unsigned used = 1;

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

void apic_init(const struct acpi *acpi)
{
	const uint64_t base = read_msr(MSR_APIC_BASE);

	apic = (volatile uint32_t *)(uintptr_t)(base & 0xfffff000);
	apic_usable = base & APIC_BASE_ENABLED && !(base & APIC_BASE_X2APIC);
	cpus = 1;
	if (!apic_usable)
		return;
	number_cpus(acpi);
	apic_write(APIC_SPURIOUS, SPURIOUS_ENABLED | VECTOR_SPURIOUS);
	apic_write(APIC_LVT_LINT0, LVT_EXTERNAL); /* the PIC, for the PIT's interrupt */
	apic_write(APIC_TIMER_DIVISOR, DIVIDE_BY_ONE);
	apic_timer_set_masked(true);
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

static void send_command(uint8_t apic_id, uint32_t command)
{
	apic_write(APIC_COMMAND_HIGH, (uint32_t)apic_id << DESTINATION_SHIFT);
	apic_write(APIC_COMMAND_LOW, command);
	while (apic_read(APIC_COMMAND_LOW) & COMMAND_PENDING)
		cpu_relax();
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
	send_command(apic_ids[cpu], COMMAND_INIT);
	clock_delay(INIT_DELAY);
	for (unsigned attempt = 0; attempt < START_ATTEMPTS; attempt++) {
		send_command(apic_ids[cpu], COMMAND_START | TRAMPOLINE >> 12);
		for (unsigned waited = 0; waited < START_INTERVAL; waited += INIT_DELAY) {
			if (__atomic_load_n(&online[cpu], __ATOMIC_ACQUIRE))
				return NULL;
			clock_delay(INIT_DELAY);
		}
	}
	return "it did not come up within 10 s of its start-up interrupt";
}
