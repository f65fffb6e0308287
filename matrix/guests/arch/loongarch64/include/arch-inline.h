/* SPDX-License-Identifier: MIT */
/* loongarch64: spinning, and device registers, ordered before and after what stands around them. */
#ifndef ARCH_INLINE_H
#define ARCH_INLINE_H

static inline void cpu_relax(void)
{
	__asm__ volatile("dbar 0" ::: "memory");
}

static inline uint32_t mmio_read32(uintptr_t address)
{
	uint32_t value;

	__asm__ volatile("ld.wu %0, %1, 0\n\tdbar 0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void mmio_write32(uintptr_t address, uint32_t value)
{
	__asm__ volatile("dbar 0\n\tst.w %0, %1, 0" ::"r"(value), "r"(address) : "memory");
}

static inline uint16_t mmio_read16(uintptr_t address)
{
	uint16_t value;

	__asm__ volatile("ld.hu %0, %1, 0\n\tdbar 0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void mmio_write16(uintptr_t address, uint16_t value)
{
	__asm__ volatile("dbar 0\n\tst.h %0, %1, 0" ::"r"(value), "r"(address) : "memory");
}

static inline uint8_t mmio_read8(uintptr_t address)
{
	uint8_t value;

	__asm__ volatile("ld.bu %0, %1, 0\n\tdbar 0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void mmio_write8(uintptr_t address, uint8_t value)
{
	__asm__ volatile("dbar 0\n\tst.b %0, %1, 0" ::"r"(value), "r"(address) : "memory");
}

#endif
