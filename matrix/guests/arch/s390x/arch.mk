# SPDX-License-Identifier: MIT
# z196 is the oldest that Debian supports, and has the interlocked-access atomics.
ARCH_CFLAGS := -m64 -march=z196 -msoft-float
INTEGRITY_MEMORY := 128
VIRTIO := ccw
# QEMU has no such device there.
LACKS := disk-integrity-vhost-user
