/* SPDX-License-Identifier: MIT */
/*
 * mips64el: QEMU's malta board with an I6400 (MIPS64 release 6). Arguments as YAMON gives them, the
 * ISA serial port, the south bridge's power management to end, pvpanic-pci to panic. With several
 * CPUs (and only then) the board has a Coherent Processing System: its power controller starts the
 * others, and its interrupt controller has the counter and the deadlines, which CP0 has otherwise.
 *
 * Sources: MIPS Architecture For Programmers III, MIPS64 privileged resource (MD00091); MIPS Malta
 * user's manual (MD00048); I6400 software user's manual; Galileo GT-64120 and Intel 82371AB
 * (PIIX4) data sheets; Intel 8254 data sheet; QEMU docs/specs/pvpanic.rst.
 */
#include <arch.h>
#include <guest.h>
#include <memory-map.h>

#include "frame.h"
#include "malta.h"

struct frame {
	uint64_t registers[18];
	uint64_t epc;
};

_Static_assert(offsetof(struct frame, epc) == FRAME_EPC, "start.S");
_Static_assert(sizeof(struct frame) <= FRAME_SIZE, "start.S");

extern char image_end[];

uint64_t coherence;
uint64_t secondary_stacks[MAX_CPUS]; /* initial stack pointers, for start.S */

_Noreturn void secondary_main(uint64_t number);
void exception(uint32_t cause, struct frame *frame);

static uint8_t stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));
static void (*entries[MAX_CPUS])(unsigned cpu);
static struct cpu cpus[MAX_CPUS];
static char arguments[1024];
static uint64_t memory_size;
static unsigned cpu_count = 1;

struct cpu *this_cpu(void)
{
	return &cpus[arch_cpu_number()];
}

/*
 * Console: a 16550
 */

#define SERIAL			  UNCACHED(PCI_IO + 0x3f8)
#define SERIAL_DATA		  (SERIAL + 0)
#define SERIAL_LINE_STATUS	  (SERIAL + 5)
#define LINE_STATUS_DATA_READY	  0x01
#define LINE_STATUS_HOLDING_EMPTY 0x20

void arch_console_write(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		while (!(read8(SERIAL_LINE_STATUS) & LINE_STATUS_HOLDING_EMPTY))
			cpu_relax();
		write8(SERIAL_DATA, (uint8_t)text[i]);
	}
}

int arch_console_read(void)
{
	return read8(SERIAL_LINE_STATUS) & LINE_STATUS_DATA_READY ? read8(SERIAL_DATA) : -1;
}

/*
 * PCI, through the GT-64120's two registers
 */

#define CONFIGURATION_ADDRESS UNCACHED(GT64120 + 0xcf8)
#define CONFIGURATION_DATA    UNCACHED(GT64120 + 0xcfc)
#define PCI_SLOTS	      32
#define PCI_ID		      0x00
#define PCI_COMMAND	      0x04
#define PCI_COMMAND_MEMORY    0x2u
#define PCI_BASE_ADDRESS_0    0x10

#define PVPANIC_ID	 0x00111b36u /* device 0x0011 of vendor 0x1b36 */
#define PVPANIC_PANICKED 1u

/* The south bridge is in slot 10; its function 3 is power management. */
#define POWER_MANAGEMENT    10, 3
#define POWER_BASE	    0x40
#define POWER_MISCELLANEOUS 0x80
#define POWER_IO_ENABLE	    1u
#define POWER_IO	    0x1000u /* where we put its registers */
#define POWER_CONTROL	    4
#define POWER_SLEEP_ENABLE  (1u << 13) /* with sleep type 0: soft off */

static void select_configuration(unsigned slot, unsigned function, unsigned offset)
{
	write32(CONFIGURATION_ADDRESS, 1u << 31 | slot << 11 | function << 8 | offset);
}

static uint32_t read_configuration(unsigned slot, unsigned function, unsigned offset)
{
	select_configuration(slot, function, offset);
	return read32(CONFIGURATION_DATA);
}

static void write_configuration(unsigned slot, unsigned function, unsigned offset, uint32_t value)
{
	select_configuration(slot, function, offset);
	write32(CONFIGURATION_DATA, value);
}

/*
 * Ends
 */

_Noreturn void arch_exit(int code)
{
	printf("EXIT: STATUS=%d\n", code << 1 | 1);
	write_configuration(POWER_MANAGEMENT, POWER_BASE, POWER_IO | 1);
	write_configuration(POWER_MANAGEMENT, POWER_MISCELLANEOUS, POWER_IO_ENABLE);
	write16(UNCACHED(PCI_IO + POWER_IO + POWER_CONTROL), POWER_SLEEP_ENABLE);
	arch_hang();
}

_Noreturn void arch_hang(void)
{
	write_cp0(STATUS, read_cp0(STATUS) & ~(STATUS_IE | STATUS_IM));
	for (;;)
		__asm__ volatile("wait");
}

const char *arch_panic(void)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		if (read_configuration(slot, 0, PCI_ID) != PVPANIC_ID)
			continue;
		/* No other device is configured, so the window's first address is free. */
		write_configuration(slot, 0, PCI_BASE_ADDRESS_0, PCI_MEMORY);
		write_configuration(slot, 0, PCI_COMMAND, PCI_COMMAND_MEMORY);
		if (!(read8(UNCACHED(PCI_MEMORY)) & PVPANIC_PANICKED))
			return "this pvpanic does not take a panic";
		write8(UNCACHED(PCI_MEMORY), PVPANIC_PANICKED);
		/* QEMU may be told to let the guest run on. */
		arch_hang();
	}
	return "no pvpanic-pci device";
}

/*
 * CPUs: registers of the coherence manager (GCR) and the power controller (CPC)
 */

#define GCR_CPC_BASE	      0x0088
#define GCR_LOCAL_CONFIG      0x2010
#define GCR_LOCAL_CONFIG_LAST 0x3ffu /* virtual processors of this core, less one */

#define CPC_LOCAL_STOP	  UNCACHED(CPC + 0x2020)
#define CPC_LOCAL_RUN	  UNCACHED(CPC + 0x2028)
#define CPC_LOCAL_RUNNING UNCACHED(CPC + 0x2030)

static void find_cpus(void)
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

/*
 * Exceptions
 */

void exception(uint32_t cause, struct frame *frame)
{
	struct cpu *cpu = this_cpu();
	char what[32];

	if (CAUSE_CODE(cause) == CODE_INTERRUPT && cause & timer_mask()) {
		timer_interrupt();
	} else if (CAUSE_CODE(cause) == CODE_TLB_LOAD && cpu->fault_resume != 0) {
		cpu->faults++;
		frame->epc = cpu->fault_resume;
		cpu->fault_resume = 0;
	} else {
		snprintf(what, sizeof(what), "exception %u", CAUSE_CODE(cause));
		guest_unhandled(what, frame->epc);
	}
}

unsigned arch_fault(const char **what)
{
	struct cpu *cpu = this_cpu();
	uint64_t scratch;

	cpu->faults = 0;
	__asm__ volatile("dla %0, 1f\n"
			 "sd %0, %1\n"
			 "ld %0, 0(%2)\n"
			 "1:"
			 : "=&r"(scratch), "=m"(cpu->fault_resume)
			 : "r"(UNMAPPED)
			 : "memory");
	cpu->fault_resume = 0;
	*what = "TLB refill, a read of an address that is not mapped";
	return cpu->faults;
}

_Noreturn void secondary_main(uint64_t number)
{
	timer_enable();
	entries[number]((unsigned)number);
	write64(CPC_LOCAL_STOP, 1ull << number);
	arch_hang();
}

/*
 * What YAMON tells: an array of 32-bit pointers: the image's name, the command line, and the
 * environment as names and values in turn, ended by a null pointer.
 */

static const char *monitor_text(const int32_t *pointers, unsigned index)
{
	return (const char *)(intptr_t)pointers[index];
}

static void read_arguments(const int32_t *pointers)
{
	snprintf(arguments, sizeof(arguments), "%s", monitor_text(pointers, 1));
	for (unsigned i = 2; pointers[i] != 0 && pointers[i + 1] != 0; i += 2) {
		uint64_t value;
		const char *rest;

		/* "memsize" is only what lies below the I/O at 256 MiB. */
		if (strcmp(monitor_text(pointers, i), "ememsize") == 0 &&
		    parse_number(monitor_text(pointers, i + 1), &value, &rest))
			memory_size = value;
	}
}

const char *arch_command_line(void)
{
	return arguments;
}

uint64_t arch_memory_size(void)
{
	return memory_size;
}

bool arch_memory_free(unsigned index, uintptr_t *start, uintptr_t *end)
{
	return memory_map_range(index, start, end);
}

/* Another address space and back: real CPUs do not translate xkphys, but an emulator's cache of
 * what it has looked up goes with it. */
void arch_flush_tlb(void)
{
	const uint32_t space = read_cp0(ENTRY_HIGH);

	write_cp0(ENTRY_HIGH, space ^ 1);
	write_cp0(ENTRY_HIGH, space);
}

/* The address in xkphys without its upper bits. */
uint64_t arch_physical_address(uintptr_t address)
{
	return address & XKPHYS_MASK;
}

void arch_init(uintptr_t boot_information)
{
	read_arguments((const int32_t *)boot_information);
	memory_map_add(CACHED(RAM), CACHED(RAM) + memory_size);
	/* All up to the end of the image: below it are the arguments. */
	memory_map_remove(CACHED(RAM), CACHED(RAM) + ((uintptr_t)image_end & KSEG0_MASK));
	find_cpus();
	timer_enable();
	timer_measure();
}
