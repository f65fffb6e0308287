# SPDX-License-Identifier: MIT
include arch/x86/x86.mk
ARCH_CFLAGS += -m64 -march=x86-64 -mno-red-zone
# QEMU's multiboot loader takes 32-bit ELF only.
IMAGE_OBJCOPY := -O elf32-i386 --strip-all
HOST_ARCH_CFLAGS := -mgeneral-regs-only
