# SPDX-License-Identifier: MIT
# The sources are riscv64's, as is the compiler, and a firmware of its own: Debian 12's QEMU comes
# without an OpenSBI for riscv32.
include arch/riscv64/arch.mk
CROSS := riscv64-linux-gnu-
PACKAGE := gcc-riscv64-linux-gnu
ARCH_SOURCES := $(sort $(wildcard arch/riscv64/*.c arch/riscv64/*.S arch/fdt-common/*.c))
ARCH_CFLAGS := -march=rv32imac_zicsr_zifencei -mabi=ilp32 -mcmodel=medany -mno-relax \
	-msmall-data-limit=0 -Iarch/fdt-common -Iarch/riscv64/include
DEFAULT_QEMU_CPU := rv32
FIRMWARE := riscv/firmware.bin

FIRMWARE_IMAGE := $(OUT)/$(ARCH)/$(FIRMWARE)
image: $(FIRMWARE_IMAGE)

$(BUILD)/$(ARCH)/firmware.elf: arch/riscv32/firmware.S Makefile arch/riscv32/arch.mk
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(ARCH_CFLAGS) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-Ttext=0x80000000 -o $@ $<

$(FIRMWARE_IMAGE): $(BUILD)/$(ARCH)/firmware.elf
	@mkdir -p $(@D)
	$(QUIET)$(OBJCOPY) -O binary -j .text $< $@
	@chmod 644 $@
