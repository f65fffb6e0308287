# SPDX-License-Identifier: MIT
# The I6400 (release 6) is what QEMU's malta runs with several 64-bit CPUs, and 7.2, 10.0 and 11.1
# agree on it.
CROSS := mips64el-linux-gnuabi64-
PACKAGE := gcc-mips64el-linux-gnuabi64
ARCH_CFLAGS := -march=mips64r6 -mabi=64 -EL -msoft-float -mno-abicalls -msym32 -G0
KUT_TEST_DIR := mips
DEFAULT_QEMU_CPU := I6400
PANIC_PARAMS := -device pvpanic-pci
