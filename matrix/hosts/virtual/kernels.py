"""Kernel images: which architecture one is for, and what QEMU is given of it. Pure.

Formats: ELF; Linux Documentation/arch/x86/boot.rst (bzImage), arch/arm64/booting.rst and
arch/riscv/boot-image-header.rst (Image), drivers/firmware/efi/libstub/zboot-header.S (EFI zboot,
the "vmlinuz" or "zImage" of new arm64 and riscv64 kernels).
"""

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from matrix.errors import UsageError
from matrix.model import Architecture

Unpack = Callable[[bytes], bytes]
"""Decompresses zstd; raises KernelError where that cannot be done."""


class KernelError(UsageError):
    """A file is no kernel that a virtual host can be started with."""


class KernelFormat(StrEnum):
    """How a kernel's image is laid out."""

    ELF = "vmlinux"
    BZIMAGE = "bzImage"
    IMAGE = "Image"


@dataclass(frozen=True, slots=True)
class KernelImage:
    """A kernel, decompressed as far as that helps QEMU to start it."""

    architecture: Architecture
    format: KernelFormat
    content: bytes


MACHINES = {
    62: Architecture.X86_64,
    183: Architecture.AARCH64,
    243: Architecture.RISCV64,
    21: Architecture.PPC64,
    22: Architecture.S390X,
    8: Architecture.MIPS64EL,
    258: Architecture.LOONGARCH64,
    3: Architecture.I386,
    40: Architecture.ARM,
}
"""``e_machine`` of an ELF header (elf.h)."""
IMAGE_MAGICS = {b"ARM\x64": Architecture.AARCH64, b"RSC\x05": Architecture.RISCV64}
"""At byte 56 of an Image."""
MAGIC_AT = 56
MZ = b"MZ"
ZBOOT_MAGIC = b"zimg"
BZIMAGE_MAGIC = b"HdrS"
BZIMAGE_AT = 0x202
PAYLOAD_VERSION = 0x208
"""Boot protocol of a bzImage that tells where its payload is."""
ZSTD = b"\x28\xb5\x2f\xfd"
LARGEST = 512 << 20
"""Bytes; larger than any kernel, and small enough to hold in memory."""


def read_kernel(data: bytes, unpack_zstd: Unpack) -> KernelImage:
    """The kernel in a file's bytes.

    Raises:
        KernelError: it is none, is damaged, or cannot be decompressed.
    """
    data = decompressed(data, unpack_zstd)
    if data.startswith(b"\x7fELF"):
        return _elf(data)
    if data.startswith(MZ) and data[4:8] == ZBOOT_MAGIC:
        return read_kernel(_zboot_payload(data), unpack_zstd)
    architecture = IMAGE_MAGICS.get(data[MAGIC_AT : MAGIC_AT + 4])
    if architecture is not None:
        return KernelImage(architecture, KernelFormat.IMAGE, data)
    if data[BZIMAGE_AT : BZIMAGE_AT + 4] == BZIMAGE_MAGIC:
        return _bzimage(data, unpack_zstd)
    raise KernelError("it is no kernel image; a vmlinux, bzImage, Image or zImage would be right")


def decompressed(data: bytes, unpack_zstd: Unpack) -> bytes:
    """``data`` without its compression, where it has any that kernels and modules come in.

    Raises:
        KernelError: it is damaged, or no program for it is there.
    """
    try:
        if data.startswith(b"\x1f\x8b"):
            return gzip.decompress(data)
        if data.startswith(b"\xfd7zXZ\0"):
            return lzma.decompress(data)
        if data.startswith(b"BZh"):
            return bz2.decompress(data)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise KernelError(f"its compressed content is damaged: {error}") from error
    return unpack_zstd(data) if data.startswith(ZSTD) else data


def _elf(data: bytes) -> KernelImage:
    if len(data) < 64 or data[4] not in (1, 2) or data[5] not in (1, 2):
        raise KernelError("its ELF header is damaged")
    order = "<" if data[5] == 1 else ">"
    (machine,) = struct.unpack_from(order + "H", data, 18)
    architecture = MACHINES.get(machine)
    if architecture is None:
        raise KernelError(f"it is an ELF file for a machine that is not known here ({machine})")
    if architecture in IMAGE_MAGICS.values():
        # QEMU starts these from their Image alone, which is the ELF file's memory.
        flat = flattened(data)
        if IMAGE_MAGICS.get(flat[MAGIC_AT : MAGIC_AT + 4]) is architecture:
            return KernelImage(architecture, KernelFormat.IMAGE, flat)
    return KernelImage(architecture, KernelFormat.ELF, data)


def flattened(data: bytes) -> bytes:
    """The loaded memory of a little-endian 64-bit ELF file, as ``objcopy -O binary`` writes it.

    Raises:
        KernelError: its program headers are damaged.
    """
    try:
        (at,) = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<HH", data, 54)
        headers = [struct.unpack_from("<IIQQQQ", data, at + i * size) for i in range(count)]
    except struct.error as error:
        raise KernelError("its program headers are damaged") from error
    loads = sorted((h[4], h[2], h[5]) for h in headers if h[0] == 1 and h[5])
    if not loads or loads[-1][0] + loads[-1][2] - loads[0][0] > LARGEST:
        raise KernelError("its program headers are damaged")
    begin = loads[0][0]
    flat = bytearray(loads[-1][0] + loads[-1][2] - begin)
    for physical, offset, length in loads:
        if offset + length > len(data) or physical - begin + length > len(flat):
            raise KernelError("it is cut off")
        flat[physical - begin : physical - begin + length] = data[offset : offset + length]
    return bytes(flat)


def _zboot_payload(data: bytes) -> bytes:
    try:
        offset, size = struct.unpack_from("<II", data, 8)
    except struct.error as error:
        raise KernelError("its header is damaged") from error
    payload = data[offset : offset + size]
    if len(payload) != size or not size or payload[4:8] == ZBOOT_MAGIC:
        raise KernelError("it is cut off")
    return payload


def _bzimage(data: bytes, unpack_zstd: Unpack) -> KernelImage:
    """A bzImage, or the vmlinux in it, which starts in half of the time."""
    whole = KernelImage(Architecture.X86_64, KernelFormat.BZIMAGE, data)
    try:
        (version,) = struct.unpack_from("<H", data, 0x206)
        offset, size = struct.unpack_from("<II", data, 0x248)
    except struct.error as error:
        raise KernelError("its header is damaged") from error
    if version < PAYLOAD_VERSION:
        return whole
    begin = ((data[0x1F1] or 4) + 1) * 512 + offset
    # Behind the payload, the linker has put its decompressed size: four bytes.
    payload = data[begin : begin + size]
    try:
        vmlinux = decompressed(payload[:-4] if payload.startswith(ZSTD) else payload, unpack_zstd)
        found = _elf(vmlinux) if vmlinux.startswith(b"\x7fELF") else whole
    except KernelError:
        return whole  # QEMU can still let it decompress itself
    return found if found.architecture is Architecture.X86_64 else whole
