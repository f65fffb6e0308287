/* SPDX-License-Identifier: MIT */
/* The machine as multiboot and QEMU describe it, the console, and the ways to end. */
#include <arch.h>
#include <guest.h>
#include <memory-map.h>
#include <x86.h>

#define UART		 0x3f8 /* COM1, a 16550A */
#define UART_INTERRUPTS	 (UART + 1)
#define UART_FIFO	 (UART + 2)
#define UART_LINE	 (UART + 3)
#define UART_MODEM	 (UART + 4)
#define UART_STATUS	 (UART + 5)
#define STATUS_RECEIVED	 0x01
#define STATUS_WRITABLE	 0x20
#define STATUS_SENT	 0x40
#define LINE_8N1	 0x03
#define LINE_DIVISOR	 0x80
#define FIFO_ON		 0x07
#define MODEM_READY	 0x03
#define DEBUG_EXIT	 0xf4 /* -device isa-debug-exit,iobase=0xf4 */
#define NO_DEVICE	 0xff /* what a port without one reads */
#define PVPANIC_PANICKED 0x01

/* Multiboot Specification 0.6.96, 3.3: boot information. */
#define MULTIBOOT_COMMAND_LINE 0x04
#define MULTIBOOT_MEMORY_MAP   0x40
#define MEMORY_AVAILABLE       1

struct multiboot {
	uint32_t flags, memory_lower, memory_upper, boot_device, command_line;
	uint32_t modules[2], symbols[4], map_length, map_address;
};

struct multiboot_range {
	uint32_t size; /* of what follows */
	uint64_t start, length;
	uint32_t type;
} __attribute__((packed));

#define ARGUMENTS_BYTES 4096
/* The first MiB's start holds the firmware's data and the trampoline. */
#define FIRMWARE_END 0x10000

static char arguments[ARGUMENTS_BYTES];

static void console_init(void)
{
	port_write8(UART_INTERRUPTS, 0);
	port_write8(UART_LINE, LINE_DIVISOR);
	port_write8(UART, 1); /* 115200 */
	port_write8(UART_INTERRUPTS, 0);
	port_write8(UART_LINE, LINE_8N1);
	port_write8(UART_FIFO, FIFO_ON);
	port_write8(UART_MODEM, MODEM_READY);
}

void arch_console_write(const char *text, size_t length)
{
	while (length--) {
		while (!(port_read8(UART_STATUS) & STATUS_WRITABLE))
			cpu_relax();
		port_write8(UART, (uint8_t)*text++);
	}
}

int arch_console_read(void)
{
	return port_read8(UART_STATUS) & STATUS_RECEIVED ? port_read8(UART) : -1;
}

/*
 * Multiboot's command line begins with the image's path, which QEMU does not quote: what follows
 * is found by the image's name, or, where it was renamed, behind the first space.
 */
static const char *after_image_name(const char *line)
{
	static const char name[] = "/guest.flat";
	const size_t length = sizeof(name) - 1;

	for (const char *at = line; *at; at++) {
		if (!strncmp(at, name, length) && (at[length] == ' ' || !at[length]))
			return at + length;
	}
	while (*line && *line != ' ')
		line++;
	return line;
}

static void read_arguments(const struct multiboot *multiboot)
{
	const char *line;

	if (!(multiboot->flags & MULTIBOOT_COMMAND_LINE))
		return;
	line = after_image_name((const char *)(uintptr_t)multiboot->command_line);
	if (*line == ' ')
		line++;
	snprintf(arguments, sizeof(arguments), "%s", line);
}

static void read_memory(const struct multiboot *multiboot)
{
	uint64_t top = 0;
	uint32_t at = multiboot->map_address;
	const uint32_t end = at + multiboot->map_length;

	if (!(multiboot->flags & MULTIBOOT_MEMORY_MAP))
		return;
	while (at < end) {
		const struct multiboot_range *range = (const void *)(uintptr_t)at;

		if (range->type == MEMORY_AVAILABLE) {
			memory_map_add(range->start, range->start + range->length);
			if (range->start + range->length > top)
				top = range->start + range->length;
		}
		at += range->size + (uint32_t)sizeof(range->size);
	}
	memory_map_remove(0, FIRMWARE_END);
	memory_map_remove((uintptr_t)image_start, (uintptr_t)image_end);
#ifdef __x86_64__
	memory_map_remove(paging_map(top), UINT64_MAX);
#endif
}

void arch_flush_tlb(void)
{
	uintptr_t page_table;

	__asm__ volatile("mov %%cr3, %0\n"
			 "mov %0, %%cr3"
			 : "=r"(page_table)
			 :
			 : "memory");
}

void arch_init(uintptr_t boot_information)
{
	const struct multiboot *multiboot = (const void *)boot_information;
	uint8_t apic_ids[MAX_CPUS];
	struct acpi acpi = { .apic_ids = apic_ids, .cpu_limit = MAX_CPUS };

	console_init();
	interrupts_init();
	read_arguments(multiboot);
	read_memory(multiboot);
	acpi_read(&acpi);
	clock_init(acpi.pm_timer);
	apic_init();
	smp_init(&acpi);
}

const char *arch_command_line(void)
{
	return arguments;
}

uint64_t arch_memory_size(void)
{
	return firmware_memory_size();
}

bool arch_memory_free(unsigned index, uintptr_t *start, uintptr_t *end)
{
	return memory_map_range(index, start, end);
}

_Noreturn void arch_exit(int code)
{
	/* Asked before: QEMU ends some time after the exit was written, and the guest goes on so
	 * long.
	 */
	if (port_read8(DEBUG_EXIT) == NO_DEVICE)
		printf("no isa-debug-exit device at port 0x%x: QEMU is not told status %d\n",
		       DEBUG_EXIT, code);
	while (!(port_read8(UART_STATUS) & STATUS_SENT))
		cpu_relax();
	port_write32(DEBUG_EXIT, (uint32_t)code); /* QEMU exits with code << 1 | 1 */
	arch_hang();
}

_Noreturn void arch_hang(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

const char *arch_panic(void)
{
	uint16_t port;

	if (firmware_file("etc/pvpanic-port", &port, sizeof(port)) != sizeof(port))
		return "the machine has no pvpanic device (-device pvpanic)";
	if (!(port_read8(port) & PVPANIC_PANICKED))
		return "the pvpanic device does not take GUEST_PANICKED";
	port_write8(port, PVPANIC_PANICKED);
	arch_hang(); /* where QEMU lets a panicked guest go on */
}
