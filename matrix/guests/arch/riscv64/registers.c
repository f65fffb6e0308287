/* SPDX-License-Identifier: MIT */
/* The 32 floating-point registers of the D extension. */
#include <fdt.h>
#include <guest.h>

#include "riscv.h"

#define STATUS_FLOATING (1ul << 13) /* sstatus.FS: initial */
#define STATUS_MASK	(3ul << 13)
#define WORDS		32
#if __riscv_xlen == 64
#define BASE "rv64"
#else
#define BASE "rv32"
#endif

/* In "rv64imafdc_…" or "rv32…" a letter for each extension, up to the first longer name. */
static bool has_extension(char letter)
{
	static const char base[] = BASE;
	struct fdt_node node = { 0 };
	const char *at;

	if (!fdt_next_of_type(&node, "cpu"))
		return false;
	at = fdt_text(&node, "riscv,isa");
	if (!strncmp(at, base, strlen(base)))
		at += strlen(base);
	for (; *at != '\0' && *at != '_'; at++)
		if (*at == letter)
			return true;
	return false;
}

const char *arch_registers_open(enum register_file file)
{
	unsigned long status;

	if (file == VECTOR)
		return has_extension('v') ? "this guest does not use the V extension"
					  : "the CPU has no V extension";
	if (!has_extension('d'))
		return "the CPU has no D extension";
	__asm__ volatile("csrs sstatus, %1\n"
			 "csrr %0, sstatus"
			 : "=r"(status)
			 : "r"(STATUS_FLOATING));
	return status & STATUS_MASK ? NULL : "floating point cannot be turned on";
}

#define FOR_EACH(instruction)                                                                       \
	".option push\n"                                                                            \
	".option arch, +d\n"                                                                        \
	".irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, " \
	"21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n" instruction                                  \
	" f\\register, 8 * \\register(%0)\n"                                                        \
	".endr\n"                                                                                   \
	".option pop"

unsigned arch_registers_load(enum register_file file, const uint64_t *words)
{
	__asm__ volatile(FOR_EACH("fld") : : "r"(words) : "memory");
	return WORDS;
}

unsigned arch_registers_store(enum register_file file, uint64_t *words)
{
	__asm__ volatile(FOR_EACH("fsd") : : "r"(words) : "memory");
	return WORDS;
}
