/* SPDX-License-Identifier: MIT */
/* RISC-V: spinning, and device registers, ordered before and after what stands around them. */
#ifndef ARCH_INLINE_H
#define ARCH_INLINE_H

static inline void cpu_relax(void)
{
	/* "pause" of Zihintpause; a harmless fence where that is missing. */
	__asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010" ::: "memory");
}

#if __riscv_xlen == 64
#define LOAD_32 "lwu"
#else
#define LOAD_32 "lw"
#endif

static inline uint32_t mmio_read32(uintptr_t address)
{
	uint32_t value;

	__asm__ volatile(LOAD_32 " %0, 0(%1)\n\tfence i, rw"
			 : "=r"(value)
			 : "r"(address)
			 : "memory");
	return value;
}

static inline void mmio_write32(uintptr_t address, uint32_t value)
{
	__asm__ volatile("fence rw, o\n\tsw %0, 0(%1)" ::"r"(value), "r"(address) : "memory");
}

static inline uint16_t mmio_read16(uintptr_t address)
{
	uint16_t value;

	__asm__ volatile("lhu %0, 0(%1)\n\tfence i, rw" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void mmio_write16(uintptr_t address, uint16_t value)
{
	__asm__ volatile("fence rw, o\n\tsh %0, 0(%1)" ::"r"(value), "r"(address) : "memory");
}

static inline uint8_t mmio_read8(uintptr_t address)
{
	uint8_t value;

	__asm__ volatile("lbu %0, 0(%1)\n\tfence i, rw" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void mmio_write8(uintptr_t address, uint8_t value)
{
	__asm__ volatile("fence rw, o\n\tsb %0, 0(%1)" ::"r"(value), "r"(address) : "memory");
}

#endif
