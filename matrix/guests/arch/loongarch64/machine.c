/* SPDX-License-Identifier: MIT */
/*
 * loongarch64, QEMU's "virt" machine under the firmware of this folder, in direct address
 * translation: start, CPUs, exceptions and end.
 */
#include <fdt-machine.h>
#include <fdt.h>
#include <guest.h>
#include <memory-map.h>

#include "loongarch.h"

/* Where QEMU puts the device tree; ACPI's register for sleep, of QEMU's generic event device, and
 * "soft off" for it (hw/loongarch/virt.c, hw/acpi/generic_event_device.c). */
#define DEVICE_TREE    0x100000
#define SLEEP_REGISTER 0x100e001c
#define SOFT_OFF       0x34

/* Values of IPI_SEND and MAIL_SEND. */
#define BLOCKING	(1ull << 31)
#define TO_CPU(id)	((uint64_t)(id) << 16)
#define TO_BOX(half)	((uint64_t)(half) << 2) /* of 32 bits each */
#define MAIL_DATA_SHIFT 32

/* Codes of exceptions (reference manual, table 21), in bits 16 to 21 of the status. */
#define CODE(status)	  ((status) >> 16 & 0x3f)
#define CODE_INTERRUPT	  0
#define CODE_NOT_EXISTING 0xd

_Static_assert(CPU_STACK_SIZE == STACK_SIZE, "start.S and arch.h disagree");
uint8_t cpu_stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));

static void (*entries[MAX_CPUS])(unsigned cpu);
static uint64_t fault_at;
static unsigned faults_taken;

uint64_t exception(uint64_t status, uint64_t address, uint64_t bad_address);

void arch_init(uintptr_t boot_information)
{
	(void)boot_information; /* no tree is passed: it is always there */
	machine_open(DEVICE_TREE, 0, (uintptr_t)image_start, (uintptr_t)image_end);
	if (arch_memory_size() == 0)
		fw_cfg_read_memory();
	memory_map_remove(0, (uintptr_t)image_end);
	fw_cfg_read_command_line();
	console_open();
}

static void iocsr_write32(uint32_t value, uint32_t at)
{
	__asm__ volatile("iocsrwr.w %0, %1" : : "r"(value), "r"(at) : "memory");
}

static void iocsr_write64(uint64_t value, uint32_t at)
{
	__asm__ volatile("iocsrwr.d %0, %1" : : "r"(value), "r"(at) : "memory");
}

/* 64 bits into a mailbox of a CPU, as two halves: box 0 or 1. */
static void send_mail(uint64_t id, unsigned box, uint64_t value)
{
	for (unsigned half = 2; half-- > 0;)
		iocsr_write64(BLOCKING | TO_CPU(id) | TO_BOX(2 * box + half) |
				      (value >> 32 * half & 0xffffffff) << MAIL_DATA_SHIFT,
			      MAIL_SEND);
}

const char *arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
	const uint64_t id = machine_cpu_id(cpu);

	entries[cpu] = entry;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	send_mail(id, 1, cpu);
	send_mail(id, 0, (uintptr_t)secondary_start);
	iocsr_write32((uint32_t)(BLOCKING | TO_CPU(id)), IPI_SEND);
	return NULL;
}

_Noreturn void secondary_main(uint64_t number)
{
	entries[number]((unsigned)number);
	arch_hang();
}

unsigned arch_cpu_number(void)
{
	uint64_t number;

	__asm__ volatile("move %0, $tp" : "=r"(number));
	return (unsigned)number;
}

_Noreturn void arch_hang(void)
{
	timer_off();
	csr_change(CSR_MODE, 0, MODE_INTERRUPTS);
	csr_write(CSR_CONFIGURATION, 0);
	for (;;)
		__asm__ volatile("idle 0" ::: "memory");
}

_Noreturn void arch_exit(int code)
{
	char line[32];

	snprintf(line, sizeof(line), "EXIT: STATUS=%d\n", code << 1 | 1);
	arch_console_write(line, strlen(line));
	mmio_write8(SLEEP_REGISTER, SOFT_OFF);
	arch_hang();
}

/* Nothing is looked up in direct address translation, but an emulator's cache goes with it. */
void arch_flush_tlb(void)
{
	__asm__ volatile("invtlb 0, $zero, $zero" ::: "memory");
}

bool machine_map_device(uint64_t start, uint64_t size)
{
	(void)start;
	(void)size;
	return true;
}

unsigned arch_fault(const char **what)
{
	*what = "instruction that does not exist (the MMU is off)";
	faults_taken = 0;
	__asm__ volatile("la.local $t0, 0f\n"
			 "st.d $t0, %0\n"
			 "0: .word 0xffffffff"
			 : "=m"(fault_at)
			 :
			 : "$t0", "memory");
	fault_at = 0;
	return faults_taken;
}

/* Returns the address of the next instruction. */
uint64_t exception(uint64_t status, uint64_t address, uint64_t bad_address)
{
	char what[32];

	if (CODE(status) == CODE_INTERRUPT && status & INTERRUPT_TIMER) {
		timer_interrupt(arch_clock());
		return address;
	}
	if (CODE(status) == CODE_NOT_EXISTING && address == fault_at) {
		faults_taken++;
		return address + 4;
	}
	snprintf(what, sizeof(what), "exception 0x%x", (unsigned)CODE(status));
	guest_unhandled(what, CODE(status) == CODE_NOT_EXISTING ? address : bad_address);
}
