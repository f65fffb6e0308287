/* SPDX-License-Identifier: MIT */
/* The other CPUs, by SIGP. */
#include <arch.h>
#include <guest.h>

#include "cpu.h"
#include "sclp.h"

enum sigp_order { SIGP_SENSE = 1, SIGP_STOP = 5, SIGP_RESTART = 6, SIGP_SET_PREFIX = 13 };
#define SIGP_STATUS_STOPPED 0x40u

extern char start_secondary_cpu[], external_entry[], program_entry[];

void secondary_main(void);

static struct lowcore lowcores[MAX_CPUS] __attribute__((aligned(LC_SIZE)));
static uint8_t stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));
static uint16_t cpu_addresses[MAX_CPUS]; /* what SIGP wants, by CPU number */
static unsigned cpu_count;

/* Signal until the CPU is not busy; returns the condition code. */
static int signal_processor(uint16_t address, enum sigp_order order, uint64_t parameter,
			    uint32_t *status)
{
	register uint64_t value __asm__("1");
	int condition;

	do {
		value = parameter;
		__asm__ volatile("sigp %1, %2, 0(%3)\n"
				 "ipm %0\n"
				 "srl %0, 28"
				 : "=&d"(condition), "+d"(value)
				 : "d"((uint64_t)address), "a"((uint64_t)order)
				 : "cc", "memory");
	} while (condition == 2);
	if (status != NULL)
		*status = (uint32_t)value;
	return condition;
}

static uint16_t own_address(void)
{
	uint16_t address;

	__asm__ volatile("stap %0" : "=Q"(address));
	return address;
}

static void prepare_lowcore(struct lowcore *core, unsigned number)
{
	core->number = number;
	core->restart_new = (struct psw){ PSW_64_BIT, (uintptr_t)start_secondary_cpu };
	core->external_new = (struct psw){ PSW_64_BIT, (uintptr_t)external_entry };
	core->program_new = (struct psw){ PSW_64_BIT, (uintptr_t)program_entry };
}

void smp_find_cpus(void)
{
	unsigned listed = sclp_cpu_count(), others = 1;

	cpu_addresses[0] = own_address();
	cpu_count = listed > 0 ? listed : 1;
	for (unsigned i = 0; i < listed && others < MAX_CPUS; i++)
		if (sclp_cpu_address(i) != cpu_addresses[0])
			cpu_addresses[others++] = sclp_cpu_address(i);
}

void secondary_main(void)
{
	struct lowcore *core = lowcore();

	set_control_register_0(0);
	core->entry(core->number);
	stop_this_cpu();
}

unsigned arch_cpu_count(void)
{
	return cpu_count;
}

unsigned arch_cpu_number(void)
{
	return lowcore()->number;
}

const char *arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
	struct lowcore *core = &lowcores[cpu];

	prepare_lowcore(core, cpu);
	core->entry = entry;
	/* The ABI wants a register save area above the first frame. */
	core->stack = (uintptr_t)stacks[cpu] + STACK_SIZE - 160;
	if (signal_processor(cpu_addresses[cpu], SIGP_SET_PREFIX, (uintptr_t)core, NULL) != 0)
		return "the CPU refused its prefix";
	if (signal_processor(cpu_addresses[cpu], SIGP_RESTART, 0, NULL) != 0)
		return "the CPU refused to restart";
	return NULL;
}

void stop_other_cpus(void)
{
	uint32_t status;

	for (unsigned i = 0; i < cpu_count && i < MAX_CPUS; i++) {
		if (cpu_addresses[i] == own_address())
			continue;
		if (signal_processor(cpu_addresses[i], SIGP_STOP, 0, NULL) == 3)
			continue; /* not there */
		do {
			status = 0;
			if (signal_processor(cpu_addresses[i], SIGP_SENSE, 0, &status) == 3)
				break;
		} while ((status & SIGP_STATUS_STOPPED) == 0);
	}
}

_Noreturn void stop_this_cpu(void)
{
	signal_processor(own_address(), SIGP_STOP, 0, NULL);
	__builtin_unreachable();
}

void smp_init(void)
{
	prepare_lowcore(lowcore(), 0);
	set_control_register_0(0);
}
