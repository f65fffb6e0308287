# SPDX-License-Identifier: MIT
ARCH_SOURCES += $(sort $(wildcard arch/fdt-common/*.c))
# No global pointer: nothing sets gp up.
ARCH_CFLAGS := -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany -mno-relax \
	-msmall-data-limit=0 -Iarch/fdt-common
IMAGE := guest.flat
IMAGE_OBJCOPY := -O binary
KUT_TEST_DIR := riscv
DEFAULT_QEMU_CPU := rv64
PANIC_PARAMS := -device pvpanic-pci
PCI := 1
