/* SPDX-License-Identifier: MIT */
/*
 * edu: QEMU's educational PCI device (docs/specs/edu.rst there) computes, reads and writes memory,
 * and interrupts, whoever is between it and the guest: nobody, or a host that has assigned it.
 */
#include <arch.h>
#include <guest.h>
#include <pci.h>

#define EDU_ID		   0x11e81234u
#define IDENTIFICATION	   0x00
#define IDENTIFICATION_EDU 0xedu /* its lowest byte; others are the version */
#define LIVENESS	   0x04	 /* reads as the complement of what was written */
#define FACTORIAL	   0x08
#define STATUS		   0x20
#define STATUS_COMPUTING   0x01u
#define STATUS_INTERRUPT   0x80u /* when the factorial is there */
#define INTERRUPT_STATUS   0x24
#define INTERRUPT_RAISE	   0x60
#define INTERRUPT_CLEAR	   0x64
#define DMA_SOURCE	   0x80
#define DMA_TARGET	   0x88
#define DMA_COUNT	   0x90
#define DMA_COMMAND	   0x98
#define DMA_START	   0x1u
#define DMA_TO_MEMORY	   0x2u
#define DMA_INTERRUPT	   0x4u
#define DEVICE_BUFFER	   0x40000u
#define CAUSE_FACTORIAL	   0x001u
#define CAUSE_DMA	   0x100u
#define CAUSE_OURS	   0x4a0u

#define BYTES	 2048		     /* half of the device's buffer */
#define PATIENCE (20 * NSEC_PER_SEC) /* DMA takes 0.1 s of the device's time */

static uintptr_t device;
static uint64_t ours[BYTES / 8] __attribute__((aligned(4096)));
static uint64_t back[BYTES / 8] __attribute__((aligned(4096)));
static volatile uint32_t causes;
static volatile unsigned taken;

static uint32_t get(unsigned offset)
{
	return arch_device_read32(device + offset);
}

static void set(unsigned offset, uint32_t value)
{
	arch_device_write32(device + offset, value);
}

static void handler(void)
{
	const uint32_t cause = get(INTERRUPT_STATUS);

	set(INTERRUPT_CLEAR, cause);
	causes |= cause;
	if (cause)
		taken++;
}

static void check_registers(void)
{
	report((get(IDENTIFICATION) & 0xff) == IDENTIFICATION_EDU, "it identifies itself");
	set(LIVENESS, 0x12345678);
	report(get(LIVENESS) == ~0x12345678u, "its liveness register holds the complement");
	set(STATUS, 0);
	set(FACTORIAL, 10);
	report(wait_until(!(get(STATUS) & STATUS_COMPUTING), PATIENCE) && get(FACTORIAL) == 3628800,
	       "it computes a factorial");
}

static uint32_t address_of(const void *buffer)
{
	return (uint32_t)arch_physical_address((uintptr_t)buffer);
}

static bool move(uint32_t source, uint32_t target, uint32_t command)
{
	/* Of 64 bits each, of which a write of 32 sets the others to zero. */
	set(DMA_SOURCE, source);
	set(DMA_TARGET, target);
	set(DMA_COUNT, BYTES);
	set(DMA_COMMAND, command | DMA_START);
	return wait_until(!(get(DMA_COMMAND) & DMA_START), PATIENCE);
}

static void check_memory(void)
{
	struct random random;
	bool there, returned;

	random_seed(&random, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(ours); i++)
		ours[i] = random_next(&random);
	there = move(address_of(ours), DEVICE_BUFFER, 0);
	report(there, "it reads memory");
	returned = move(DEVICE_BUFFER, address_of(back), DMA_TO_MEMORY);
	report(returned, "it writes memory");
	report(!memcmp(ours, back, BYTES), "what it wrote is what it had read");
}

static bool interrupted(uint32_t cause)
{
	return wait_until((arch_interrupts_take(), (causes & cause) == cause), PATIENCE);
}

static void check_interrupts(unsigned slot)
{
	const char *reason = arch_pci_interrupt_open(slot, handler);

	if (reason) {
		report_skip("interrupts: %s", reason);
		return;
	}
	set(INTERRUPT_RAISE, CAUSE_OURS);
	report(interrupted(CAUSE_OURS), "it interrupts when it is told to");
	set(STATUS, STATUS_INTERRUPT);
	set(FACTORIAL, 5);
	report(interrupted(CAUSE_FACTORIAL) && get(FACTORIAL) == 120,
	       "it interrupts when a factorial is there");
	move(DEVICE_BUFFER, address_of(back), DMA_TO_MEMORY | DMA_INTERRUPT);
	report(interrupted(CAUSE_DMA), "it interrupts when it has written memory");
	report(taken == 3, "it interrupted three times");
	report_info("%u interrupts, causes 0x%x", taken, (unsigned)causes);
}

static void check_messages(unsigned slot)
{
	uint32_t address;
	uint16_t data;
	const char *reason = arch_pci_message_open(&address, &data, handler);

	if (!reason && !pci_send_messages(slot, address, data))
		reason = "the device sends none";
	if (reason) {
		report_skip("messages: %s", reason);
		return;
	}
	taken = causes = 0;
	set(INTERRUPT_RAISE, CAUSE_OURS);
	report(interrupted(CAUSE_OURS), "it sends a message when it is told to");
	move(DEVICE_BUFFER, address_of(back), DMA_TO_MEMORY | DMA_INTERRUPT);
	report(interrupted(CAUSE_DMA), "it sends a message when it has written memory");
	report(taken == 2, "it sent two messages");
}

int test_edu(int argc, char **argv)
{
	const char *reason = arch_pci_open();
	unsigned slot;

	if (reason) {
		report_skip("%s", reason);
		return report_summary();
	}
	slot = pci_find(EDU_ID);
	device = slot == PCI_NO_SLOT ? 0 : arch_pci_map(slot, 0);
	if (!device) {
		report_skip(slot == PCI_NO_SLOT ? "no edu device" : "edu has no addresses");
		return report_summary();
	}
	pci_enable(slot);
	check_registers();
	check_memory();
	check_interrupts(slot);
	check_messages(slot);
	return report_summary();
}
