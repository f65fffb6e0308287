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

#include "malta.h"

extern char image_end[];

_Noreturn void secondary_main(uint64_t number);

static char command_line[1024];
static uint64_t memory_size;

_Noreturn void secondary_main(uint64_t number)
{
	timer_enable();
	cps_run_entry((unsigned)number);
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
	snprintf(command_line, sizeof(command_line), "%s", monitor_text(pointers, 1));
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
	return command_line;
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

/* The address in xkphys, or in kseg0 as that of the image, without its upper bits. */
uint64_t arch_physical_address(uintptr_t address)
{
	return address & (address >= KSEG0 ? KSEG0_MASK : XKPHYS_MASK);
}

void arch_init(uintptr_t boot_information)
{
	read_arguments((const int32_t *)boot_information);
	memory_map_add(CACHED(RAM), CACHED(RAM) + memory_size);
	/* All up to the end of the image: below it are the arguments. */
	memory_map_remove(CACHED(RAM), CACHED(RAM) + ((uintptr_t)image_end & KSEG0_MASK));
	cps_init();
	timer_enable();
	timer_measure();
}
