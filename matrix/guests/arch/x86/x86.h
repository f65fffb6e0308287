/* SPDX-License-Identifier: MIT */
/* What the parts of the x86 code share. Numbers of registers and bits are from the Intel SDM. */
#ifndef X86_H
#define X86_H

/* Segment selectors of the table in tables.S. */
#define SELECTOR_CODE32	     0x08
#define SELECTOR_DATA	     0x10
#define SELECTOR_CODE64	     0x18
#define SELECTOR_USER_DATA   0x23 /* for privilege level 3 */
#define SELECTOR_USER_CODE64 0x2b
#define SELECTOR_TASK	     0x30
#define SELECTOR_INVALID     0x78
#define SELECTOR_PRIVILEGE   0x03

#define CR0_PROTECTED	  0x00000001 /* PE */
#define CR0_RUNNING	  0x80010031 /* PG, WP, NE, ET, PE; the caches on */
#define CR4_PAGE_SIZE	  0x10	     /* PSE: 4 MiB pages */
#define CR4_PAE		  0x20
#define MSR_EFER	  0xc0000080
#define EFER_LONG_MODE	  0x100
#define PAGE_LARGE_MAPPED 0x87 /* present, writable, for users, large */
#define PAGE_TABLE	  0x07 /* present, writable, for users */

#ifdef __x86_64__
/* Memory beyond this is not mapped: one page directory for each GiB. */
#define MAPPED_GIB 64
#endif

/* Where the code that starts a vCPU is copied to: page-aligned, below 1 MiB, unused by firmware. */
#define TRAMPOLINE 0x8000

#define VECTOR_UNDEFINED  6
#define VECTOR_PAGE_FAULT 14
#define VECTOR_PIC	  0x20 /* 16 of them */
#define VECTOR_TIMER	  0x40
#define VECTOR_MESSAGE	  0x41
#define VECTOR_SPURIOUS	  0x4f
#define VECTORS		  0x50
#define VECTOR_STUB_BYTES 16

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stdint.h>

/* What an interrupt's entry code leaves on the stack, from the lowest address. */
struct frame {
#ifdef __x86_64__
	uint64_t general[15];
#else
	uint32_t general[8];
#endif
	uintptr_t vector, error, ip, cs, flags;
#ifdef __x86_64__
	uintptr_t sp, ss;
#endif
};

static inline void port_write8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void port_write32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t port_read8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t port_read32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* acpi.c: what the tables say. CPUs that are not enabled are left out; 0 where there are no
 * tables. pm_timer is the I/O port of the power management timer, 0 where there is none. */
struct acpi {
	unsigned cpus;
	uint8_t *apic_ids; /* of the first cpu_limit of them */
	unsigned cpu_limit;
	uint16_t pm_timer;
};
void acpi_read(struct acpi *acpi);

/* firmware.c: QEMU's firmware configuration device. */
uint64_t firmware_memory_size(void);
unsigned firmware_cpu_count(void);
/* Up to size bytes of the file of this name; how many the file has, 0 where there is none. */
uint32_t firmware_file(const char *name, void *buffer, uint32_t size);

/* apic.c: the local APIC of the boot CPU. apic_send returns when the command has been sent. */
#define APIC_INIT  0x4500 /* level, assert */
#define APIC_START 0x4600
void apic_init(void);
uint8_t apic_id(void);
void apic_send(uint8_t target, uint32_t command);
void apic_end_of_interrupt(void);
void apic_timer_start(uint32_t count);
uint32_t apic_timer_count(void);
void apic_timer_set_masked(bool masked);

/* smp.c, after the APIC */
void smp_init(const struct acpi *acpi);

/* clock.c */
void clock_init(uint16_t pm_timer);
void clock_delay(unsigned microseconds);
void clock_timer_interrupt(void);
void clock_backup_interrupt(void);

/* pic.c: the PIC's sixteen lines, of which the first is the PIT's. */
#define PIC_LINES 16
void pic_init(void);
void pic_open(unsigned line);
void pic_end(unsigned line);

/* pci.c: whether a line was a PCI device's, which is then dealt with; a message is always. */
bool pci_interrupt_taken(unsigned line);
void pci_message_taken(void);

/* interrupts.c */
void interrupts_load(void);
void interrupts_init(void);
void interrupt_taken(struct frame *frame);

/* paging.c of x86_64: map memory up to there; how far it has been mapped. */
uint64_t paging_map(uint64_t end);

/* user.c of x86_64: whether this is the end of what arch_run_user runs; the frame then returns to
 * its caller. */
bool user_left(struct frame *frame);

/* tables.S, vectors.S, guest.lds */
extern const char vector_stubs[];
extern const char trampoline_start[], trampoline_end[];
extern char stacks[];
extern char image_start[], image_end[];

#endif
#endif
