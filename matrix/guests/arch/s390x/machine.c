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

extern const char command_line[];
extern char __bss_end[];

static uint64_t memory_size;

_Noreturn void arch_exit(int code)
{
	printf("EXIT: STATUS=%d\n", code << 1 | 1);
	/* QEMU shuts down when no CPU is left running. */
	stop_other_cpus();
	stop_this_cpu();
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
	smp_init();
	sclp_console_open();
	memory_size = sclp_memory_size();
	smp_find_cpus();
}

const char *arch_command_line(void)
{
	return command_line;
}
