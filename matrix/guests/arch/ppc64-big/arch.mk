# SPDX-License-Identifier: MIT
# The big-endian guests of ppc64: its sources, and its compiler, which knows both orders. They go by
# the names that kvm-unit-tests' "configure --arch=ppc64 --endian=big" gives.
include arch/ppc64/arch.mk
ARCH_CFLAGS += -mbig -Iarch/ppc64/include
ARCH_LDFLAGS := -Wl,-EB
LINKER_SCRIPT := arch/ppc64/guest.lds
ARCH_NAME := ppc64
KUT_ARCH := ppc64
ENDIAN := big
