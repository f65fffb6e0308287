/* SPDX-License-Identifier: MIT */
/*
 * s390x: SCLP for console, memory and CPUs; SIGP for the other CPUs; clock comparator as timer.
 *
 * DAT is off throughout: every address is a real one, and beyond the prefix area (the first 8 KiB,
 * which each CPU has for itself) an absolute one. Numbers and layouts are those of the Principles
 * of Operation (SA22-7832).
 */
#include <arch.h>
#include <guest.h>

#include "cpu.h"
#include "sclp.h"

#define CODE_CLOCK_COMPARATOR 0x1004
#define CODE_CPU_TIMER	      0x1005
#define CODE_SERVICE_SIGNAL   0x2401

#define CLOCK_HZ 4096000000ull /* bit 51 of the TOD clock counts microseconds */

extern const char command_line[];
extern char __bss_end[];
extern char start_secondary_cpu[], external_entry[], program_entry[];

void secondary_main(void);
void external_interrupt(void);
void program_interrupt(void);

static struct lowcore lowcores[MAX_CPUS] __attribute__((aligned(LC_SIZE)));
static uint8_t stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));
static uint16_t cpu_addresses[MAX_CPUS]; /* what SIGP wants, by CPU number */
static unsigned cpu_count;
static uint64_t memory_size;

static void set_control_register_0(uint64_t subclasses)
{
	const uint64_t value = subclasses | CR0_FLOATING_POINT | CR0_VECTOR;

	__asm__ volatile("lctlg 0, 0, %0" : : "Q"(value) : "memory");
}

void wait_for(uint64_t subclasses)
{
	struct psw psw = { .mask = PSW_64_BIT | PSW_WAIT | PSW_EXTERNAL };

	set_control_register_0(subclasses);
	__asm__ volatile("larl %%r1, 0f\n"
			 "stg %%r1, 8(%0)\n"
			 "lpswe 0(%0)\n"
			 "0:"
			 :
			 : "a"(&psw)
			 : "r1", "cc", "memory");
	set_control_register_0(0);
}

void external_interrupt(void)
{
	struct lowcore *core = lowcore();

	switch (core->external_code) {
	case CODE_CLOCK_COMPARATOR:
		core->timer_fired = true;
		break;
	case CODE_CPU_TIMER:
		core->guard_fired = true;
		break;
	case CODE_SERVICE_SIGNAL:
		core->service_fired = true;
		break;
	default:
		guest_unhandled("external interrupt", core->external_old.address);
	}
	/* Back to after the wait, which ends so. */
	core->external_old.mask &= ~(PSW_WAIT | PSW_EXTERNAL);
}

/*
 * CPUs
 */

enum sigp_order { SIGP_SENSE = 1, SIGP_STOP = 5, SIGP_RESTART = 6, SIGP_SET_PREFIX = 13 };
#define SIGP_STATUS_STOPPED 0x40u

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

static void find_cpus(void)
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
	signal_processor(own_address(), SIGP_STOP, 0, NULL);
	__builtin_unreachable();
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

static void stop_other_cpus(void)
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

/*
 * Ends
 */

_Noreturn void arch_exit(int code)
{
	printf("EXIT: STATUS=%d\n", code << 1 | 1);
	/* QEMU shuts down when no CPU is left running. */
	stop_other_cpus();
	signal_processor(own_address(), SIGP_STOP, 0, NULL);
	__builtin_unreachable();
}

/* A wait with every interrupt off is how Linux says that it panicked, and QEMU takes it for that.
 * So this one is enabled, but for no subclass of external interrupts: it is never left. */
_Noreturn void arch_hang(void)
{
	for (;;)
		wait_for(0);
}

/* A disabled wait, with every CPU stopped or in one; address 0xfff would be an orderly end. */
const char *arch_panic(void)
{
	const struct psw psw = { .mask = PSW_64_BIT | PSW_WAIT, .address = 0xdead };

	stop_other_cpus();
	__asm__ volatile("lpswe %0" : : "Q"(psw) : "memory");
	__builtin_unreachable();
}

/*
 * Time
 */

uint64_t arch_clock(void)
{
	uint64_t clock;

	__asm__ volatile("stckf %0" : "=Q"(clock) : : "cc", "memory");
	return clock;
}

uint64_t arch_clock_frequency(void)
{
	return CLOCK_HZ;
}

const char *arch_timer_problem(void)
{
	return NULL;
}

static void set_clock_comparator(uint64_t clock)
{
	__asm__ volatile("sckc %0" : : "Q"(clock) : "memory");
}

static void set_cpu_timer(uint64_t ticks)
{
	__asm__ volatile("spt %0" : : "Q"(ticks) : "memory");
}

uint64_t arch_timer_sleep(uint64_t deadline)
{
	struct lowcore *core = lowcore();
	uint64_t now = arch_clock();

	core->timer_fired = false;
	core->guard_fired = false;
	/* The CPU timer counts down at the same rate and ends the sleep where the comparator fails.
	 */
	set_cpu_timer((deadline > now ? deadline - now : 0) + CLOCK_HZ);
	set_clock_comparator(deadline);
	while (!core->timer_fired && !core->guard_fired)
		wait_for(CR0_CLOCK_COMPARATOR | CR0_CPU_TIMER);
	return core->timer_fired ? core->external_clock : 0;
}

/*
 * Memory and faults
 */

uint64_t arch_memory_size(void)
{
	return memory_size;
}

/* Purge TLB. */
void arch_flush_tlb(void)
{
	__asm__ volatile("ptlb" : : : "memory");
}

bool arch_memory_free(unsigned index, uintptr_t *start, uintptr_t *end)
{
	switch (index) {
	case 0:
		*start = LC_SIZE;
		*end = 0x10000; /* where the image starts */
		return true;
	case 1:
		*start = (uintptr_t)__bss_end;
		*end = memory_size;
		return true;
	default:
		return false;
	}
}

void program_interrupt(void)
{
	struct lowcore *core = lowcore();

	if (core->fault_resume == 0)
		guest_unhandled("program interruption", core->program_old.address);
	core->faults++;
	core->program_old.address = core->fault_resume;
	core->fault_resume = 0;
}

unsigned arch_fault(const char **what)
{
	struct lowcore *core = lowcore();
	uint64_t scratch;

	core->faults = 0;
	__asm__ volatile("larl %0, 0f\n"
			 "stg %0, %1\n"
			 "lg %0, 0(%2)\n"
			 "0:"
			 : "=&d"(scratch), "=Q"(core->fault_resume)
			 : "a"(memory_size)
			 : "memory");
	core->fault_resume = 0;
	*what = core->program_code == 5 ? "addressing exception, a read beyond memory"
					: "program interruption, a read beyond memory";
	return core->faults;
}

void arch_init(uintptr_t boot_information)
{
	prepare_lowcore(lowcore(), 0);
	set_control_register_0(0);
	sclp_console_open();
	memory_size = sclp_memory_size();
	find_cpus();
}

const char *arch_command_line(void)
{
	return command_line;
}
