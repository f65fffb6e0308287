/* SPDX-License-Identifier: MIT */
/* For architectures whose code here knows no PCI. */
#include <pci.h>

const char *arch_pci_open(void)
{
	return "this guest knows no PCI on this architecture";
}

uint32_t arch_pci_read(unsigned slot, unsigned offset)
{
	return UINT32_MAX;
}

void arch_pci_write(unsigned slot, unsigned offset, uint32_t value)
{
}

uintptr_t arch_pci_map(unsigned slot, unsigned bar)
{
	return 0;
}

uint8_t arch_device_read8(uintptr_t address)
{
	return UINT8_MAX;
}

void arch_device_write8(uintptr_t address, uint8_t value)
{
}

uint16_t arch_device_read16(uintptr_t address)
{
	return UINT16_MAX;
}

void arch_device_write16(uintptr_t address, uint16_t value)
{
}

uint32_t arch_device_read32(uintptr_t address)
{
	return UINT32_MAX;
}

void arch_device_write32(uintptr_t address, uint32_t value)
{
}
