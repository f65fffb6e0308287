# Generated from matrix/guests/config.mak.in by matrix/guests/Makefile.
SRCDIR=.
ARCH=riscv32
ARCH_NAME=riscv32
PROCESSOR=riscv32
DEFAULT_QEMU_CPU=rv32
TARGET=qemu
TARGET_CPU=
TEST_DIR=riscv
TEST_SUBDIR=riscv
FIRMWARE=riscv/firmware.bin
ENDIAN=
ENVIRON_DEFAULT=
ERRATATXT=
PRETTY_PRINT_STACKS=no
CONFIG_EFI=
GEN_SE_HEADER=
