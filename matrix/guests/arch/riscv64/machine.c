/* SPDX-License-Identifier: MIT */
/* RISC-V, QEMU's "virt" machine under OpenSBI: start, harts, traps and end. */
#include <fdt-machine.h>
#include <fdt.h>
#include <guest.h>
#include <memory-map.h>

#include "layout.h"
#include "riscv.h"
#include "sbi.h"

_Static_assert(CPU_STACK_SIZE == STACK_SIZE, "start.S and arch.h disagree");
uint8_t cpu_stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));
unsigned long boot_hart, hart_ids[MAX_CPUS];

/* Where the memory, and in it what -bios names, begins. */
#define FIRMWARE 0x80000000ull

static void (*entries[MAX_CPUS])(unsigned cpu);
static long start_errors[MAX_CPUS];
static bool arrived[MAX_CPUS];

/* Many harts on few host CPUs, some still in the firmware. */
#define ARRIVAL_PATIENCE (20 * NSEC_PER_SEC)
static unsigned faults_taken;

/* In sie and sip (Privileged specification, 4.1.3). */
#define SOFTWARE_INTERRUPT (1ul << 1)

/* scause (Privileged specification, 4.1.8). */
#define CAUSE_INTERRUPT		(1ul << (__riscv_xlen - 1))
#define CAUSE_TIMER		(CAUSE_INTERRUPT | 5)
#define CAUSE_LOAD_ACCESS_FAULT 5 /* where the MMU has stayed off */
#define CAUSE_LOAD_PAGE_FAULT	13

unsigned long trap_handler(unsigned long cause, unsigned long address, unsigned long value);

/* All harts are started at once and sleep until they have an entry: in OpenSBI 1.1, which comes
 * with QEMU 7.2, a hart that was never started spins, since the interrupt that released it at boot
 * stays pending. */
static void start_harts(void)
{
	for (unsigned cpu = 1; cpu < arch_cpu_count(); cpu++)
		hart_ids[cpu] = machine_cpu_id(cpu);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (unsigned cpu = 1; cpu < arch_cpu_count(); cpu++)
		start_errors[cpu] =
			sbi_call(SBI_HART_STATE, SBI_HART_STATE_START, machine_cpu_id(cpu),
				 (unsigned long)secondary_start, cpu)
				.error;
}

void arch_init(uintptr_t boot_information)
{
	mmu_map_tree(boot_information);
	machine_open(boot_information, boot_hart, (uintptr_t)image_start, (uintptr_t)image_end);
	mmu_open();
	if (__riscv_xlen == 32) /* our firmware does not tell in the tree where it is */
		memory_map_remove(FIRMWARE, (uintptr_t)image_start);
	console_open();
	timer_open();
	start_harts();
}

_Noreturn void secondary_main(unsigned cpu)
{
	void (*entry)(unsigned);

	/* A masked interrupt ends wfi all the same, also one that came between check and sleep. */
	__asm__ volatile("csrw sie, %0" ::"r"(SOFTWARE_INTERRUPT) : "memory");
	__atomic_store_n(&arrived[cpu], true, __ATOMIC_RELEASE);
	while ((entry = __atomic_load_n(&entries[cpu], __ATOMIC_ACQUIRE)) == NULL) {
		__asm__ volatile("wfi" ::: "memory");
		__asm__ volatile("csrc sip, %0" ::"r"(SOFTWARE_INTERRUPT) : "memory");
	}
	__asm__ volatile("csrw sie, zero" ::: "memory");
	entry(cpu);
	arch_hang();
}

const char *arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
	switch (start_errors[cpu]) {
	case 0:
		break;
	case -2:
		return "SBI hart_start: not supported";
	case -3:
		return "SBI hart_start: invalid hart";
	case -5:
		return "SBI hart_start: invalid address";
	case -6:
		return "SBI hart_start: already started";
	default:
		return "SBI hart_start: failed";
	}
	/* The firmware sends interrupts only to harts that it has let go. */
	if (!wait_until(__atomic_load_n(&arrived[cpu], __ATOMIC_ACQUIRE), ARRIVAL_PATIENCE))
		return "SBI hart_start: the hart has not come up";
	__atomic_store_n(&entries[cpu], entry, __ATOMIC_RELEASE);
	if (sbi_call(SBI_INTERRUPT, SBI_INTERRUPT_SEND, 1, machine_cpu_id(cpu), 0).error != 0)
		return "SBI send_ipi: failed";
	return NULL;
}

unsigned arch_cpu_number(void)
{
	unsigned long number;

	__asm__ volatile("mv %0, tp" : "=r"(number));
	return (unsigned)number;
}

_Noreturn void arch_hang(void)
{
	__asm__ volatile("csrw sie, zero" ::: "memory");
	timer_off();
	for (;;)
		__asm__ volatile("wfi" ::: "memory");
}

/* The test device's finisher register takes 0x5555 for "pass": QEMU hw/misc/sifive_test.c. */
static void finish(void)
{
	struct fdt_node node = { 0 };
	uint64_t address, size;

	if (fdt_next_compatible(&node, "sifive,test0") && fdt_reg(&node, 0, &address, &size))
		mmio_write32(address, 0x5555);
}

_Noreturn void arch_exit(int code)
{
	char line[32];

	snprintf(line, sizeof(line), "EXIT: STATUS=%d\n", code << 1 | 1);
	arch_console_write(line, strlen(line));
	if (sbi_has(SBI_SYSTEM_RESET))
		sbi_call(SBI_SYSTEM_RESET, SBI_SYSTEM_RESET_RESET, SBI_SYSTEM_RESET_SHUTDOWN, 0, 0);
	finish();
	arch_hang();
}

unsigned arch_fault(const char **what)
{
	*what = "load page fault: read of an address that is not mapped";
	faults_taken = 0;
	fault_probe(UNMAPPED_ADDRESS);
	return faults_taken;
}

static const char *cause_name(unsigned long cause)
{
	static const char *const names[] = {
		"misaligned instruction",
		"instruction access fault",
		"illegal instruction",
		"breakpoint",
		"misaligned load",
		"load access fault",
		"misaligned store",
		"store access fault",
		"environment call from U-mode",
		"environment call from S-mode",
		"reserved exception",
		"reserved exception",
		"instruction page fault",
		"load page fault",
		"reserved exception",
		"store page fault",
	};

	if (cause & CAUSE_INTERRUPT)
		return "interrupt";
	return cause < ARRAY_SIZE(names) ? names[cause] : "reserved exception";
}

/* The address of the next instruction. */
unsigned long trap_handler(unsigned long cause, unsigned long address, unsigned long value)
{
	if (cause == CAUSE_TIMER) {
		timer_interrupt(arch_clock());
		return address;
	}
	if ((cause == CAUSE_LOAD_PAGE_FAULT || cause == CAUSE_LOAD_ACCESS_FAULT) &&
	    address == (uintptr_t)fault_probe && value == UNMAPPED_ADDRESS) {
		faults_taken++;
		return address + 4;
	}
	guest_unhandled(cause_name(cause), value != 0 ? value : address);
}
