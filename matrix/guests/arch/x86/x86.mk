# SPDX-License-Identifier: MIT
# What x86_64 and i386 share: all but start-up and the entry of interrupts.
# Not every distribution has the compiler under its full name on x86 itself.
CROSS := $(if $(shell command -v x86_64-linux-gnu-gcc)$(filter-out x86_64,$(shell uname -m)),x86_64-linux-gnu-)
PACKAGE := gcc-x86-64-linux-gnu
KUT_TEST_DIR := x86
IMAGE := guest.flat
ARCH_SOURCES += $(sort $(wildcard arch/x86/*.c arch/x86/*.S))
ARCH_CFLAGS := -Iarch/x86 -mgeneral-regs-only -fcf-protection=none
PANIC_PARAMS := -device pvpanic
PCI := 1
