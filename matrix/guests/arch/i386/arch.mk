# SPDX-License-Identifier: MIT
CROSS := x86_64-linux-gnu-
PACKAGE := gcc-x86-64-linux-gnu
KUT_TEST_DIR := x86
IMAGE := guest.flat
IMAGE_OBJCOPY := --strip-all
ARCH_SOURCES += $(sort $(wildcard arch/x86/*.c arch/x86/*.S))
ARCH_CFLAGS := -Iarch/x86 -m32 -march=i686 -mgeneral-regs-only -fcf-protection=none
ARCH_LDFLAGS := -Wl,-z,max-page-size=4096
PANIC_PARAMS := -device pvpanic
