"""An empty qcow2 image, for snapshots of guests that have no disk. Pure.

The format is QEMU's docs/interop/qcow2.rst, version 3. Written here, as qemu-img is a package of
its own, and images by ``blockdev-create`` take a QEMU four commands.
"""

import struct

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS
REFCOUNTS, REFCOUNT_BLOCK, L1 = range(1, 4)
"""The clusters of an empty image, behind that of its header."""
REFCOUNT_ORDER = 4  # 16 bits each
SIZE = 1 << 20
"""Bytes of the disk; the state of a machine goes behind its end."""
LAYOUT = ">4sIQIIQIIQQIIQQQQII"


def empty_image() -> bytes:
    """A disk of 1 MiB that holds nothing."""
    header = struct.pack(
        LAYOUT,
        b"QFI\xfb",
        3,
        *(0, 0),  # no backing file
        CLUSTER_BITS,
        SIZE,
        0,  # not encrypted
        1,  # entries of the L1 table, each for 512 MiB
        L1 * CLUSTER,
        REFCOUNTS * CLUSTER,
        1,  # clusters of the refcount table
        *(0, 0),  # no snapshots
        *(0, 0, 0),  # no features
        REFCOUNT_ORDER,
        struct.calcsize(LAYOUT),
    )
    clusters = [header, struct.pack(">Q", REFCOUNT_BLOCK * CLUSTER), struct.pack(">4H", 1, 1, 1, 1)]
    return b"".join(each.ljust(CLUSTER, b"\0") for each in (*clusters, b""))
