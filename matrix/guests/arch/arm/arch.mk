# SPDX-License-Identifier: MIT
CROSS := arm-linux-gnueabihf-
PACKAGE := gcc-arm-linux-gnueabihf
ARCH_SOURCES += $(sort $(wildcard arch/arm-common/*.c) $(wildcard arch/fdt-common/*.c))
ARCH_CFLAGS := -marm -mcpu=cortex-a15 -mfloat-abi=soft -mno-unaligned-access \
	-Iarch/arm-common -Iarch/fdt-common
IMAGE := guest.flat
IMAGE_OBJCOPY := -O binary
KUT_TEST_DIR := arm
PROCESSOR := cortex-a15
DEFAULT_QEMU_CPU := cortex-a15
PANIC_PARAMS := -device pvpanic-pci
PCI := 1
