# SPDX-License-Identifier: MIT
include arch/x86/x86.mk
ARCH_CFLAGS += -m64 -march=x86-64 -mno-red-zone
# QEMU's multiboot loader takes 32-bit ELF only.
IMAGE_OBJCOPY := -O elf32-i386 --strip-all
HOST_ARCH_CFLAGS := -mgeneral-regs-only
ELASTIC_MEMORY := 49160k,maxmem=1G
BLOCKS_PARAMS := -object memory-backend-memfd,id=memory-of-blocks,size=32M,share=on -device virtio-mem-pci,id=blocks,memdev=memory-of-blocks,block-size=2M,requested-size=8M
