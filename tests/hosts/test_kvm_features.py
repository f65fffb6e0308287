"""What KVM says of its features: buffers, a device that refuses, and this host's own."""

import errno
import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.hosts.host_facts import read_host
from matrix.hosts.kvm_features import (
    KVM_GET_MSR_FEATURE_INDEX_LIST,
    KVM_GET_MSRS,
    KVM_GET_SUPPORTED_CPUID,
    LEAVES,
    CpuidLeaf,
    KvmFeatures,
    decode_cpuid,
    decode_indices,
    decode_msrs,
    features_json,
    features_of_json,
    read_features,
)
from tests import make

WORD = st.integers(0, 2**32 - 1)
QUAD = st.integers(0, 2**64 - 1)
LEAF = st.builds(CpuidLeaf, WORD, WORD, WORD, WORD, WORD, WORD)
MSRS = st.dictionaries(WORD, QUAD, max_size=9).map(lambda found: tuple(sorted(found.items())))
REST = st.binary(max_size=50)


def cpuid_buffer(leaves: list[CpuidLeaf]) -> bytes:
    packed = (
        struct.pack(
            "<10I", each.function, each.index, 1, each.eax, each.ebx, each.ecx, each.edx, 7, 8, 9
        )
        for each in leaves
    )
    return struct.pack("<II", len(leaves), 5) + b"".join(packed)


@given(st.lists(LEAF, max_size=9), REST)
def test_leaves_are_decoded_and_sorted(leaves: list[CpuidLeaf], rest: bytes) -> None:
    assert decode_cpuid(cpuid_buffer(leaves) + rest) == tuple(sorted(leaves))


@given(MSRS, REST)
def test_msrs_are_decoded(msrs: tuple[tuple[int, int], ...], rest: bytes) -> None:
    count = len(msrs)
    listed = struct.pack(f"<{1 + count}I", count, *(index for index, _ in reversed(msrs)))
    assert decode_indices(listed + rest) == tuple(index for index, _ in msrs)
    values = b"".join(struct.pack("<IIQ", index, 3, value) for index, value in msrs)
    assert decode_msrs(struct.pack("<II", count, 9) + values + rest) == msrs


@given(st.integers(1, 2**32 - 1))
def test_a_count_without_its_entries(count: int) -> None:
    for decode in (decode_cpuid, decode_indices, decode_msrs):
        with pytest.raises(ValueError, match=f"counts {count} entries, of which"):
            decode(struct.pack("<IH", count, 0))


@given(st.lists(LEAF, max_size=5), MSRS)
def test_json_is_read_back(leaves: list[CpuidLeaf], msrs: tuple[tuple[int, int], ...]) -> None:
    features = KvmFeatures("", "6.1", tuple(sorted(leaves)), msrs)
    assert features_of_json(json.loads(json.dumps(features_json(features)))) == features


@pytest.mark.parametrize("value", ["0x100000000", "-0x1", "", "x"])
def test_numbers_that_are_none(value: str) -> None:
    document = features_json(KvmFeatures("", "6.1", (), ((0x10A, 1),)))
    document["msrs"][0]["index"] = value
    with pytest.raises(ValueError, match=r"is no number of 32 bits|invalid literal"):
        features_of_json(document)


class FakeKvm:
    """A KVM with those leaves and MSRs, which reads no MSR of ``unreadable``."""

    def __init__(
        self, leaves: list[CpuidLeaf], msrs: dict[int, int], unreadable: int | None = None
    ) -> None:
        self.leaves = leaves
        self.msrs = msrs
        self.unreadable = unreadable
        self.refused: dict[int, int] = {}
        """ioctl → errno."""

    def __call__(self, _device: int, request: int, buffer: bytearray) -> int:
        if request in self.refused:
            raise OSError(self.refused[request], "")
        room: int = struct.unpack_from("<I", buffer)[0]
        if request == KVM_GET_SUPPORTED_CPUID:
            if room < len(self.leaves):
                raise OSError(errno.E2BIG, "")
            found = cpuid_buffer(self.leaves)
            buffer[: len(found)] = found
            return 0
        if request == KVM_GET_MSR_FEATURE_INDEX_LIST:
            buffer[:4] = struct.pack("<I", len(self.msrs))
            if room < len(self.msrs):
                raise OSError(errno.E2BIG, "")
            buffer[4:] = struct.pack(f"<{len(self.msrs)}I", *self.msrs)
            return 0
        assert request == KVM_GET_MSRS
        for number in range(room):
            (index,) = struct.unpack_from("<I", buffer, 8 + 16 * number)
            if index == self.unreadable:
                return number
            struct.pack_into("<Q", buffer, 16 + 16 * number, self.msrs[index])
        return room


def null(_path: Path) -> int:
    return os.open(os.devnull, os.O_RDWR)


def asked(kvm: Callable[[int, int, bytearray], int]) -> KvmFeatures:
    return read_features(make.HOST, opener=null, ioctl=kvm)


@pytest.mark.parametrize("count", [0, 1, LEAVES, LEAVES + 1, 5 * LEAVES])
def test_as_many_leaves_as_there_are(count: int) -> None:
    leaves = [CpuidLeaf(number, 0, 1, 2, 3, 4) for number in range(count)]
    found = asked(FakeKvm(leaves, {0x345: 9, 0x10A: 1 << 63}))
    assert found == KvmFeatures("", "6.1.0", tuple(leaves), ((0x10A, 1 << 63), (0x345, 9)))
    assert asked(FakeKvm(leaves, {})).msrs == ()


@pytest.mark.parametrize(
    ("request_number", "number", "why"),
    [
        (KVM_GET_SUPPORTED_CPUID, errno.E2BIG, "the CPUID that it supports: Argument list too"),
        (KVM_GET_SUPPORTED_CPUID, errno.ENOMEM, "the CPUID that it supports: Cannot allocate"),
        (KVM_GET_MSR_FEATURE_INDEX_LIST, errno.ENOTTY, "its feature MSRs: Inappropriate ioctl"),
        (KVM_GET_MSRS, errno.EFAULT, "its feature MSRs: Bad address"),
    ],
)
def test_a_kvm_that_refuses(request_number: int, number: int, why: str) -> None:
    kvm = FakeKvm([], {0x10A: 1})
    kvm.refused[request_number] = number
    found = asked(kvm)
    assert found.problem.startswith(f"/dev/kvm does not say {why}")
    assert found == KvmFeatures(found.problem)


def test_an_msr_that_is_listed_and_not_read() -> None:
    found = asked(FakeKvm([], {0x10A: 1, 0x345: 2}, unreadable=0x345))
    assert found.problem == (
        "/dev/kvm does not say its feature MSRs: it lists MSR 0x345 and does not read it"
    )


def test_a_count_that_cannot_be() -> None:
    def kvm(_device: int, request: int, buffer: bytearray) -> int:
        buffer[:4] = struct.pack("<I", 0 if request == KVM_GET_SUPPORTED_CPUID else 1 << 31)
        return 0

    assert asked(kvm).problem.endswith("it counts 2147483648 of them")


def test_hosts_that_are_not_asked() -> None:
    def never(_path: Path) -> int:
        raise AssertionError

    arm = replace(make.HOST, architecture="aarch64")
    assert read_features(arm, opener=never).problem == (
        "CPUID is x86's, and this is an aarch64 host"
    )
    denied = replace(make.HOST, kvm_device="no permission to open /dev/kvm")
    assert read_features(denied, opener=never).problem == "no permission to open /dev/kvm"


def test_a_device_that_does_not_open() -> None:
    def busy(_path: Path) -> int:
        raise OSError(errno.EBUSY, "")

    assert read_features(make.HOST, opener=busy).problem.startswith("/dev/kvm cannot be opened: ")


def test_this_host() -> None:
    host = read_host().host
    found = read_features(host)
    if found.problem:
        pytest.skip(found.problem)
    leaves = {(leaf.function, leaf.index): leaf for leaf in found.cpuid}
    assert leaves[1, 0].edx & 1  # every x86 CPU that has KVM has an FPU
    vendor = struct.pack("<3I", leaves[0, 0].ebx, leaves[0, 0].edx, leaves[0, 0].ecx)
    assert vendor.decode() == host.cpu_vendor
    assert found.kernel == os.uname().release
    assert list(found.msrs) == sorted(dict(found.msrs).items())
