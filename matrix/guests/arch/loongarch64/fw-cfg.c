/* SPDX-License-Identifier: MIT */
/*
 * QEMU's fw_cfg device (docs/specs/fw_cfg.rst): the command line, and where the memory is, which
 * 7.2's device tree does not say.
 */
#include <fdt-machine.h>
#include <guest.h>

#include "loongarch.h"

#define COMMAND_LINE_SIZE 0x14
#define COMMAND_LINE_DATA 0x15
#define DIRECTORY	  0x19

#define MEMORY_FILE "etc/memmap"
#define MEMORY_RAM  1

/* A file of the directory; numbers are big-endian. */
struct file {
	uint32_t size;
	uint16_t key, reserved;
	char name[56];
};

/* A row of the memory's file; numbers are the guest's. */
struct range {
	uint64_t start, size;
	uint32_t kind, reserved;
};

static void choose(uint16_t key)
{
	mmio_write16(FW_CFG + FW_CFG_SELECTOR, __builtin_bswap16(key));
}

static void read_bytes(void *to, size_t length)
{
	uint8_t *bytes = to;

	for (size_t i = 0; i < length; i++)
		bytes[i] = mmio_read8(FW_CFG);
}

void fw_cfg_read_command_line(void)
{
	static char text[4096];
	uint32_t size;

	choose(COMMAND_LINE_SIZE);
	read_bytes(&size, sizeof(size));
	choose(COMMAND_LINE_DATA);
	read_bytes(text, size < sizeof(text) ? size : sizeof(text) - 1);
	machine_set_command_line(text);
}

static bool find_file(const char *name, struct file *file)
{
	uint32_t count;

	choose(DIRECTORY);
	read_bytes(&count, sizeof(count));
	for (count = __builtin_bswap32(count); count > 0; count--) {
		read_bytes(file, sizeof(*file));
		if (!strcmp(file->name, name))
			return true;
	}
	return false;
}

void fw_cfg_read_memory(void)
{
	struct file file;
	struct range range;

	if (!find_file(MEMORY_FILE, &file))
		return;
	choose(__builtin_bswap16(file.key));
	for (size_t left = __builtin_bswap32(file.size); left >= sizeof(range);
	     left -= sizeof(range)) {
		read_bytes(&range, sizeof(range));
		if (range.kind == MEMORY_RAM)
			machine_add_memory(range.start, range.size);
	}
}
