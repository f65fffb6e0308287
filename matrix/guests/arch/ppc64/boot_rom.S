/* SPDX-License-Identifier: MIT */
/*
 * The whole firmware: from the reset vector to the image, in big-endian mode as the CPU starts.
 *
 * QEMU's pseries machine loads it at 0, as -bios, and the kernel at 4 MiB (KERNEL_LOAD_ADDR in
 * hw/ppc/spapr.c), and enters at 0x100 with the device tree's address in r3. SLOF in its place needs
 * seconds under TCG to come to the same, and hands over Open Firmware instead of the tree.
 */
        .text
        .org    0x100
        lis     %r4, 0x40
        mtctr   %r4
        bctr
