# Generated from matrix/guests/config.mak.in by matrix/guests/Makefile.
SRCDIR=.
ARCH=ppc64
ARCH_NAME=ppc64
PROCESSOR=ppc64
DEFAULT_QEMU_CPU=
TARGET=qemu
TARGET_CPU=
TEST_DIR=powerpc
TEST_SUBDIR=powerpc
FIRMWARE=powerpc/boot_rom.bin
ENDIAN=big
ENVIRON_DEFAULT=
ERRATATXT=
PRETTY_PRINT_STACKS=no
CONFIG_EFI=
GEN_SE_HEADER=
