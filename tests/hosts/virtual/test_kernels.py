"""Kernel images are told apart by their headers, whatever compresses them."""

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.hosts.virtual.kernels import (
    KernelError,
    KernelFormat,
    decompressed,
    flattened,
    read_kernel,
)
from matrix.model import Architecture


def no_zstd(_data: bytes) -> bytes:
    raise KernelError("no zstd")


def elf(machine: int, content: bytes = b"", *, order: str = "<", physical: int = 0x1000) -> bytes:
    """A 64-bit ELF file with one segment, which is ``content``."""
    head = b"\x7fELF" + bytes([2, 1 if order == "<" else 2, 1]) + bytes(9)
    rest = struct.pack(order + "HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = len(content)
    segment = struct.pack(order + "IIQQQQQQ", 1, 7, 120, 0, physical, size, size, 4096)
    return head + rest + segment + content


def image(magic: bytes) -> bytes:
    return b"MZ" + bytes(54) + magic + bytes(100)


def bzimage(payload: bytes, version: int = 0x20F) -> bytes:
    """With one sector of set-up code; the payload's decompressed size stands behind it."""
    data = bytearray(1024)
    data[0x1F1] = 1
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x206, version)
    struct.pack_into("<II", data, 0x248, 0, len(payload))
    return bytes(data) + payload


@pytest.mark.parametrize(
    ("data", "architecture", "form"),
    [
        (elf(62), Architecture.X86_64, KernelFormat.ELF),
        (elf(21), Architecture.PPC64, KernelFormat.ELF),
        (elf(22, order=">"), Architecture.S390X, KernelFormat.ELF),
        (image(b"ARM\x64"), Architecture.AARCH64, KernelFormat.IMAGE),
        (image(b"RSC\x05"), Architecture.RISCV64, KernelFormat.IMAGE),
        (elf(183, image(b"ARM\x64")), Architecture.AARCH64, KernelFormat.IMAGE),
        (bzimage(lzma.compress(elf(62))), Architecture.X86_64, KernelFormat.ELF),
        (bzimage(b"\x28\xb5\x2f\xfd" + bytes(8)), Architecture.X86_64, KernelFormat.BZIMAGE),
        (bzimage(b"", version=0x204), Architecture.X86_64, KernelFormat.BZIMAGE),
    ],
)
def test_kernels_are_told_apart(
    data: bytes, architecture: Architecture, form: KernelFormat
) -> None:
    found = read_kernel(data, no_zstd)
    assert (found.architecture, found.format) == (architecture, form)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress])
def test_a_compressed_image_is_what_is_in_it(compress: Callable[[bytes], bytes]) -> None:
    packed = compress(image(b"ARM\x64"))
    assert read_kernel(packed, no_zstd).content == image(b"ARM\x64")


def test_a_zboot_image_is_its_payload() -> None:
    payload = gzip.compress(image(b"RSC\x05"))
    zboot = b"MZ\0\0zimg" + struct.pack("<II", 64, len(payload)) + bytes(48) + payload
    assert read_kernel(zboot, no_zstd).architecture is Architecture.RISCV64


def test_zstd_is_asked_of_whoever_can() -> None:
    packed = b"\x28\xb5\x2f\xfd packed"
    assert decompressed(packed, lambda data: data[4:]) == b" packed"
    with pytest.raises(KernelError, match="no zstd"):
        read_kernel(packed, no_zstd)


def test_segments_go_where_their_addresses_say() -> None:
    assert flattened(elf(183, b"content")) == b"content"
    with pytest.raises(KernelError, match="cut off"):
        flattened(elf(183, b"content")[:-1])


NONE = [b"", b"#!/bin/sh\n", bytes(4096), elf(2), b"MZ\0\0zimg" + bytes(70)]


@pytest.mark.parametrize("data", NONE)
def test_what_is_no_kernel_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(KernelError):
        read_kernel(data, no_zstd)


PREFIXES = [b"", b"\x7fELF", b"MZ\0\0zimg", b"\x1f\x8b", elf(183)[:40], image(b"ARM\x64")]


@given(st.sampled_from(PREFIXES), st.binary(max_size=1200))
def test_any_bytes_are_a_kernel_or_an_error(prefix: bytes, rest: bytes) -> None:
    with suppress(KernelError):  # and nothing else
        read_kernel(prefix + rest, no_zstd)
