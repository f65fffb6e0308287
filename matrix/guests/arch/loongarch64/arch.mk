# SPDX-License-Identifier: MIT
# Debian 12 has no compiler for it; Debian 13 has. Without one its committed images stay.
OPTIONAL := Debian has it from 13 on
ARCH_SOURCES += $(sort $(wildcard arch/fdt-common/*.c))
ARCH_CFLAGS := -march=loongarch64 -mabi=lp64s -mfpu=none -mno-relax -Iarch/fdt-common
IMAGE := guest.flat
IMAGE_OBJCOPY := -O binary
FIRMWARE := loongarch64/firmware.bin
PANIC_PARAMS := -device pvpanic-pci
PCI := 1
# QEMU 7.2 refuses less.
BOOT_MEMORY := 1024
TEST_MEMORY := 1024
INTEGRITY_MEMORY := 1024

FIRMWARE_IMAGE := $(OUT)/$(ARCH)/$(FIRMWARE)
ARCH_IMAGES := $(FIRMWARE_IMAGE)

$(BUILD)/$(ARCH)/firmware.elf: arch/loongarch64/firmware.S Makefile arch/loongarch64/arch.mk
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(ARCH_CFLAGS) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-Ttext=0x1c000000 -o $@ $<

$(FIRMWARE_IMAGE): $(BUILD)/$(ARCH)/firmware.elf
	@mkdir -p $(@D)
	$(QUIET)$(OBJCOPY) -O binary -j .text $< $@
	@chmod 644 $@
