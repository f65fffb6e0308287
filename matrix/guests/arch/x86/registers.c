/* SPDX-License-Identifier: MIT */
/*
 * Floating point: the x87 registers; vector: the XMM registers. FXSAVE and FXRSTOR move both (Intel
 * SDM volume 1, 10.5.1).
 */
#include <arch.h>
#include <guest.h>
#include <x86.h>

#define FEATURE_FXSR	   (1u << 24)
#define FEATURE_SSE	   (1u << 25)
#define CR4_FXSAVE	   0x200 /* OSFXSR */
#define X87_REGISTERS	   8
#define X87_CONTROL	   0x037f /* all exceptions masked, extended precision */
#define X87_ALL_IN_USE	   0xff
#define SSE_CONTROL	   0x1f80 /* all exceptions masked */
#define EXPONENTS_PER_WORD 4
#define EXPONENT_BITS	   16
#ifdef __x86_64__
#define XMM_WORDS 32
#else
#define XMM_WORDS 16
#endif

struct image {
	uint16_t control, status, tags, opcode;
	uint64_t pointers[2];
	uint32_t sse_control, sse_control_mask;
	struct {
		uint64_t mantissa;
		uint16_t exponent, reserved[3];
	} x87[X87_REGISTERS];
	uint64_t xmm[32], rest[12];
} __attribute__((aligned(16)));

_Static_assert(sizeof(struct image) == 512, "FXSAVE writes that much");

static void save(struct image *image)
{
	__asm__ volatile("fxsave %0" : "=m"(*image));
}

static void restore(const struct image *image)
{
	__asm__ volatile("fxrstor %0" : : "m"(*image));
}

const char *arch_registers_open(enum register_file file)
{
	uint32_t a = 1, b, c = 0, features;
	uintptr_t control;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(features));
	if (!(features & FEATURE_FXSR))
		return "the CPU has no FXSAVE";
	if (file == VECTOR && !(features & FEATURE_SSE))
		return "the CPU has no SSE";
	__asm__ volatile("mov %%cr4, %0" : "=r"(control));
	__asm__ volatile("mov %0, %%cr4" : : "r"(control | CR4_FXSAVE));
	return NULL;
}

/* Mantissas, then exponents, four to a word: two words. */
static unsigned load_x87(struct image *image, const uint64_t *words)
{
	image->control = X87_CONTROL;
	image->status = 0;
	image->tags = X87_ALL_IN_USE;
	for (unsigned i = 0; i < X87_REGISTERS; i++) {
		image->x87[i].mantissa = words[i];
		image->x87[i].exponent = (uint16_t)(words[X87_REGISTERS + i / EXPONENTS_PER_WORD] >>
						    i % EXPONENTS_PER_WORD * EXPONENT_BITS);
	}
	return X87_REGISTERS + X87_REGISTERS / EXPONENTS_PER_WORD;
}

static unsigned store_x87(const struct image *image, uint64_t *words)
{
	words[X87_REGISTERS] = words[X87_REGISTERS + 1] = 0;
	for (unsigned i = 0; i < X87_REGISTERS; i++) {
		words[i] = image->x87[i].mantissa;
		words[X87_REGISTERS + i / EXPONENTS_PER_WORD] |=
			(uint64_t)image->x87[i].exponent << i % EXPONENTS_PER_WORD * EXPONENT_BITS;
	}
	return X87_REGISTERS + X87_REGISTERS / EXPONENTS_PER_WORD;
}

unsigned arch_registers_load(enum register_file file, const uint64_t *words)
{
	struct image image;
	unsigned count = XMM_WORDS;

	save(&image);
	if (file == FLOATING_POINT) {
		count = load_x87(&image, words);
	} else {
		image.sse_control = SSE_CONTROL;
		memcpy(image.xmm, words, XMM_WORDS * sizeof(*words));
	}
	restore(&image);
	return count;
}

unsigned arch_registers_store(enum register_file file, uint64_t *words)
{
	struct image image;

	save(&image);
	if (file == FLOATING_POINT)
		return store_x87(&image, words);
	memcpy(words, image.xmm, XMM_WORDS * sizeof(*words));
	return XMM_WORDS;
}
