# Generated from matrix/guests/config.mak.in by matrix/guests/Makefile.
SRCDIR=.
ARCH=loongarch64
ARCH_NAME=loongarch64
PROCESSOR=loongarch64
DEFAULT_QEMU_CPU=
TARGET=qemu
TARGET_CPU=
TEST_DIR=loongarch64
TEST_SUBDIR=loongarch64
FIRMWARE=loongarch64/firmware.bin
ENDIAN=
ENVIRON_DEFAULT=
ERRATATXT=
PRETTY_PRINT_STACKS=no
CONFIG_EFI=
GEN_SE_HEADER=
