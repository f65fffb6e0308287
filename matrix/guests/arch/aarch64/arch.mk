# SPDX-License-Identifier: MIT
ARCH_SOURCES += $(sort $(wildcard arch/arm-common/*.c) $(wildcard arch/fdt-common/*.c))
ARCH_CFLAGS := -march=armv8-a -mgeneral-regs-only -mstrict-align -mno-outline-atomics \
	-mbranch-protection=none -Iarch/arm-common -Iarch/fdt-common
IMAGE := guest.flat
IMAGE_OBJCOPY := -O binary
# Without mapping symbols (AAELF64), or it is larger than a file may be.
SYMBOLS_OBJCOPY := -w -N '$$x*' -N '$$d*'
KUT_ARCH := arm64
KUT_TEST_DIR := arm
PROCESSOR := max
DEFAULT_QEMU_CPU := max
PANIC_PARAMS := -device pvpanic-pci
HOST_ARCH_CFLAGS := -mno-outline-atomics
PCI := 1
ELASTIC_MEMORY := 49160k,maxmem=1G
BLOCKS_PARAMS := -object memory-backend-memfd,id=memory-of-blocks,size=32M,share=on -device virtio-mem-pci,id=blocks,memdev=memory-of-blocks,block-size=2M,requested-size=8M
