/* SPDX-License-Identifier: MIT */
/* The few things needed from the ACPI tables (ACPI Specification 6.5, chapter 5). */
#include <guest.h>
#include <x86.h>

#define BIOS_START	      0xe0000
#define BIOS_END	      0x100000
#define POINTER_ALIGNMENT     16
#define POINTER_CHECKED_BYTES 20
#define MADT_LOCAL_APIC	      0
#define LOCAL_APIC_ENABLED    0x1
#define FADT_PM_TIMER	      76 /* offset of PM_TMR_BLK */

struct root_pointer {
	char signature[8];
	uint8_t checksum;
	char vendor[6];
	uint8_t revision;
	uint32_t root_table;
} __attribute__((packed));

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char vendor[6], table[8];
	uint32_t vendor_revision, creator, creator_revision;
} __attribute__((packed));

struct local_apic {
	uint8_t type, length, processor, apic_id;
	uint32_t flags;
} __attribute__((packed));

static const struct root_pointer *find_root(void)
{
	for (uintptr_t at = BIOS_START; at < BIOS_END; at += POINTER_ALIGNMENT) {
		const uint8_t *bytes = (const uint8_t *)at;
		uint8_t sum = 0;

		if (memcmp(bytes, "RSD PTR ", 8))
			continue;
		for (unsigned i = 0; i < POINTER_CHECKED_BYTES; i++)
			sum = (uint8_t)(sum + bytes[i]);
		if (!sum)
			return (const struct root_pointer *)at;
	}
	return NULL;
}

static void read_cpus(struct acpi *acpi, const struct header *madt)
{
	const uint8_t *at = (const uint8_t *)(madt + 1) + 8; /* past the address and the flags */
	const uint8_t *end = (const uint8_t *)madt + madt->length;

	while (at + 2 <= end && at[1] >= 2) {
		const struct local_apic *entry = (const struct local_apic *)at;

		if (entry->type == MADT_LOCAL_APIC && entry->flags & LOCAL_APIC_ENABLED) {
			if (acpi->cpus < acpi->cpu_limit)
				acpi->apic_ids[acpi->cpus] = entry->apic_id;
			acpi->cpus++;
		}
		at += entry->length;
	}
}

void acpi_read(struct acpi *acpi)
{
	const struct root_pointer *root = find_root();
	const struct header *tables;
	const uint32_t *table, *end;

	acpi->cpus = 0;
	acpi->pm_timer = 0;
	if (!root)
		return;
	tables = (const struct header *)(uintptr_t)root->root_table;
	table = (const uint32_t *)(tables + 1);
	end = table + (tables->length - sizeof(*tables)) / sizeof(*table);
	for (; table < end; table++) {
		const struct header *header = (const struct header *)(uintptr_t)*table;

		if (!memcmp(header->signature, "APIC", 4))
			read_cpus(acpi, header);
		if (!memcmp(header->signature, "FACP", 4))
			acpi->pm_timer = *(const uint16_t *)((const char *)header + FADT_PM_TIMER);
	}
}
