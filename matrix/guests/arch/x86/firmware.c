/* SPDX-License-Identifier: MIT */
/* QEMU's firmware configuration device (QEMU docs/specs/fw_cfg), read through its I/O ports. */
#include <guest.h>
#include <x86.h>

#define SELECTOR_PORT 0x510
#define DATA_PORT     0x511

#define KEY_MEMORY_SIZE 0x03
#define KEY_CPU_COUNT	0x05
#define KEY_DIRECTORY	0x19
#define NAME_BYTES	56

static void select_key(uint16_t key)
{
	__asm__ volatile("outw %0, %1" : : "a"(key), "Nd"((uint16_t)SELECTOR_PORT));
}

static uint64_t read_little_endian(unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)port_read8(DATA_PORT) << i * 8;
	return value;
}

static uint32_t read_big_endian(unsigned bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | port_read8(DATA_PORT);
	return value;
}

uint64_t firmware_memory_size(void)
{
	select_key(KEY_MEMORY_SIZE);
	return read_little_endian(8);
}

unsigned firmware_cpu_count(void)
{
	select_key(KEY_CPU_COUNT);
	return (unsigned)read_little_endian(2);
}

uint32_t firmware_file(const char *name, void *buffer, uint32_t size)
{
	uint32_t files;

	select_key(KEY_DIRECTORY);
	for (files = read_big_endian(4); files; files--) {
		const uint32_t length = read_big_endian(4);
		const uint16_t key = (uint16_t)read_big_endian(2);
		char file[NAME_BYTES];

		read_big_endian(2); /* reserved */
		for (unsigned i = 0; i < NAME_BYTES; i++)
			file[i] = (char)port_read8(DATA_PORT);
		if (strncmp(file, name, NAME_BYTES))
			continue;
		select_key(key);
		for (uint32_t i = 0; i < size && i < length; i++)
			((uint8_t *)buffer)[i] = port_read8(DATA_PORT);
		return length;
	}
	return 0;
}
