# SPDX-License-Identifier: MIT
# Little-endian code, as Linux distributions run it on pseries; QEMU's target is one for both orders.
# arch/ppc64-big/ has the other order: it includes this file.
CROSS := powerpc64le-linux-gnu-
PACKAGE := gcc-powerpc64le-linux-gnu
ARCH_SOURCES := arch/ppc64/start.S $(sort $(wildcard arch/ppc64/*.c)) \
	arch/fdt-common/fdt-machine.c arch/fdt-common/pci-window.c
ARCH_CFLAGS := -mcpu=power8 -mabi=elfv2 -mcmodel=medium -msoft-float -mno-altivec -mno-vsx \
	-Iarch/fdt-common
HOST_ARCH_CFLAGS := -mcpu=power8
KUT_TEST_DIR := powerpc
FIRMWARE := powerpc/boot_rom.bin
ENDIAN := little
TEST_MEMORY := 256
INTEGRITY_MEMORY := 256

# The boot ROM is big-endian code without relocations: what the assembler wrote is the ROM.
BOOT_ROM := $(OUT)/$(ARCH)/$(FIRMWARE)
image: $(BOOT_ROM)

$(BUILD)/$(ARCH)/boot_rom.o: arch/ppc64/boot_rom.S Makefile arch/ppc64/arch.mk
	@mkdir -p $(@D)
	$(CC) -mbig -c -o $@ $<

$(BOOT_ROM): $(BUILD)/$(ARCH)/boot_rom.o
	@mkdir -p $(@D)
	$(OBJCOPY) -O binary -j .text $< $@
	@chmod 644 $@
