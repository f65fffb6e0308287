# SPDX-License-Identifier: MIT
PACKAGE := gcc-x86-64-linux-gnu
KUT_TEST_DIR := x86
# QEMU's multiboot loader takes 32-bit ELF only.
IMAGE := guest.flat
IMAGE_OBJCOPY := -O elf32-i386 --strip-all
ARCH_SOURCES += $(sort $(wildcard arch/x86/*.c arch/x86/*.S))
ARCH_CFLAGS := -Iarch/x86 -m64 -march=x86-64 -mno-red-zone -mgeneral-regs-only -fcf-protection=none
ARCH_LDFLAGS := -Wl,-z,max-page-size=4096
PANIC_PARAMS := -device pvpanic
