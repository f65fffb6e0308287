/* SPDX-License-Identifier: MIT */
/*
 * The Coherent Processing System, which the board has with several CPUs only: registers of the
 * coherence manager (GCR) and the power controller (CPC), which starts the other CPUs.
 */
#include <arch.h>
#include <guest.h>

#include "malta.h"

#define GCR_CPC_BASE	      0x0088
#define GCR_LOCAL_CONFIG      0x2010
#define GCR_LOCAL_CONFIG_LAST 0x3ffu /* virtual processors of this core, less one */

#define CPC_LOCAL_STOP	  UNCACHED(CPC + 0x2020)
#define CPC_LOCAL_RUN	  UNCACHED(CPC + 0x2028)
#define CPC_LOCAL_RUNNING UNCACHED(CPC + 0x2030)

uint64_t coherence;
uint64_t secondary_stacks[MAX_CPUS]; /* initial stack pointers, for start.S */

static uint8_t stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));
static void (*entries[MAX_CPUS])(unsigned cpu);
static struct cpu cpus[MAX_CPUS];
static unsigned cpu_count = 1;

struct cpu *this_cpu(void)
{
	return &cpus[arch_cpu_number()];
}

void cps_init(void)
{
	if (!(read_cp0(CONFIG3) & CONFIG3_CMGCR))
		return;
	coherence = UNCACHED((uint64_t)read_cp0(CMGCR_BASE) << 4);
	write64(coherence + GCR_CPC_BASE, CPC | GCR_BASE_ENABLE);
	write64(coherence + GCR_GIC_BASE, GIC | GCR_BASE_ENABLE);
	if (read64(coherence + GCR_CPC_BASE) != (CPC | GCR_BASE_ENABLE)) {
		coherence = 0; /* a single CPU, without what its configuration promises */
		return;
	}
	cpu_count = (read32(coherence + GCR_LOCAL_CONFIG) & GCR_LOCAL_CONFIG_LAST) + 1;
}

unsigned arch_cpu_count(void)
{
	return cpu_count;
}

unsigned arch_cpu_number(void)
{
	return read_cp0(EBASE) & 0x3ff;
}

const char *arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
	if (read64(CPC_LOCAL_RUNNING) & 1ull << cpu)
		return "the CPU runs already";
	entries[cpu] = entry;
	secondary_stacks[cpu] = (uintptr_t)stacks[cpu] + STACK_SIZE;
	__asm__ volatile("sync" : : : "memory");
	write64(CPC_LOCAL_RUN, 1ull << cpu);
	return NULL;
}

_Noreturn void cps_run_entry(unsigned cpu)
{
	entries[cpu](cpu);
	write64(CPC_LOCAL_STOP, 1ull << cpu);
	arch_hang();
}
