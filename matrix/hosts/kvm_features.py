"""What KVM of an x86 host can give its guests: CPUID and the feature MSRs, as /dev/kvm says them.

Numbers and layouts: Linux, Documentation/virt/kvm/api.rst (KVM_GET_SUPPORTED_CPUID,
KVM_GET_MSR_INDEX_LIST, KVM_GET_MSRS) and include/uapi/linux/kvm.h. No guest is made.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from matrix.hosts.kvm import Opener, open_device
from matrix.inventory import Host

KVM_GET_SUPPORTED_CPUID = 0xC008AE05
KVM_GET_MSR_FEATURE_INDEX_LIST = 0xC004AE0A
KVM_GET_MSRS = 0xC008AE88

LEAVES = 128
"""How many CPUID leaves are asked for first: hosts have some 60."""
MOST = 1 << 16
"""Leaves or MSRs: who claims to have more is not KVM."""
_COUNT = struct.Struct("<I")
_HEAD = struct.Struct("<II")
"""Of ``struct kvm_cpuid2`` and ``struct kvm_msrs``: the count, and padding."""
_LEAF = struct.Struct("<7I12x")
"""``struct kvm_cpuid_entry2``: function, index, flags, eax, ebx, ecx, edx."""
_MSR = struct.Struct("<I4xQ")
"""``struct kvm_msr_entry``: index, data."""

Ioctl = Callable[[int, int, bytearray], int]
"""As :func:`fcntl.ioctl`: changes the buffer, raises OSError."""


@dataclass(frozen=True, slots=True, order=True)
class CpuidLeaf:
    """What CPUID answers to one ``eax`` (function) and ``ecx`` (index)."""

    function: int
    index: int
    eax: int
    ebx: int
    ecx: int
    edx: int

    def register(self, name: str) -> int:
        """The value of ``eax``, ``ebx``, ``ecx`` or ``edx``."""
        return {"eax": self.eax, "ebx": self.ebx, "ecx": self.ecx, "edx": self.edx}[name]


@dataclass(frozen=True, slots=True)
class KvmFeatures:
    """What ``-cpu host`` is made of on one host."""

    problem: str = ""
    """Why it is not known, in words; empty where it is."""
    kernel: str = ""
    """``uname -r`` of the kernel that was asked."""
    cpuid: tuple[CpuidLeaf, ...] = ()
    """Sorted by function and index."""
    msrs: tuple[tuple[int, int], ...] = ()
    """(number, value) of each feature MSR, sorted."""


def read_features(
    host: Host, *, opener: Opener = open_device, ioctl: Ioctl = fcntl.ioctl
) -> KvmFeatures:
    """Ask the KVM of this host; why it does not answer is in ``problem``.

    Args:
        host: this one: what is known to be wrong with its KVM is not tried.
        opener: opens /dev/kvm.
        ioctl: asks it.
    """
    if host.architecture != "x86_64":
        return KvmFeatures(f"CPUID is x86's, and this is an {host.architecture} host")
    if host.kvm_device:
        return KvmFeatures(host.kvm_device)
    try:
        device = opener(Path("/dev/kvm"))
    except OSError as error:
        return KvmFeatures(f"/dev/kvm cannot be opened: {os.strerror(error.errno or 0)}")
    what = "the CPUID that it supports"
    try:
        cpuid = _cpuid(device, ioctl)
        what = "its feature MSRs"
        msrs = _msrs(device, ioctl)
    except OSError as error:
        return KvmFeatures(f"/dev/kvm does not say {what}: {os.strerror(error.errno or 0)}")
    except ValueError as error:
        return KvmFeatures(f"/dev/kvm does not say {what}: {error}")
    finally:
        os.close(device)
    return KvmFeatures("", host.kernel, cpuid, msrs)


def decode_cpuid(buffer: bytes | bytearray) -> tuple[CpuidLeaf, ...]:
    """The leaves of a ``struct kvm_cpuid2``, sorted.

    Raises:
        ValueError: it counts more than it has.
    """
    return tuple(
        sorted(
            CpuidLeaf(function, index, *registers)
            for function, index, _, *registers in _entries(buffer, _HEAD.size, _LEAF)
        )
    )


def decode_indices(buffer: bytes | bytearray) -> tuple[int, ...]:
    """The numbers in a ``struct kvm_msr_list``, sorted; errors as :func:`decode_cpuid`."""
    return tuple(sorted(index for (index,) in _entries(buffer, _COUNT.size, _COUNT)))


def decode_msrs(buffer: bytes | bytearray) -> tuple[tuple[int, int], ...]:
    """(number, value) of each entry of a ``struct kvm_msrs``; errors as :func:`decode_cpuid`."""
    return tuple((index, value) for index, value in _entries(buffer, _HEAD.size, _MSR))


def _entries(buffer: bytes | bytearray, start: int, entry: struct.Struct) -> list[tuple[int, ...]]:
    (count,) = _COUNT.unpack_from(buffer)
    if start + count * entry.size > len(buffer):
        raise ValueError(f"it counts {count} entries, of which {len(buffer)} bytes do not hold all")
    return [entry.unpack_from(buffer, start + number * entry.size) for number in range(count)]


def _cpuid(device: int, ioctl: Ioctl) -> tuple[CpuidLeaf, ...]:
    room = LEAVES
    while True:
        buffer = bytearray(_HEAD.pack(room, 0)) + bytes(room * _LEAF.size)
        try:
            ioctl(device, KVM_GET_SUPPORTED_CPUID, buffer)
        except OSError as error:
            # Here KVM does not say how many there are.
            if error.errno != errno.E2BIG or room >= MOST:
                raise
            room *= 2
            continue
        return decode_cpuid(buffer)


def _msrs(device: int, ioctl: Ioctl) -> tuple[tuple[int, int], ...]:
    indices = _indices(device, ioctl)
    buffer = bytearray(_HEAD.pack(len(indices), 0))
    for index in indices:
        buffer += _MSR.pack(index, 0)
    read = ioctl(device, KVM_GET_MSRS, buffer) if indices else 0
    if read != len(indices):  # KVM stops at the first that it cannot read
        raise ValueError(f"it lists MSR {indices[read]:#x} and does not read it")
    return decode_msrs(buffer)


def _indices(device: int, ioctl: Ioctl) -> tuple[int, ...]:
    buffer = bytearray(_COUNT.pack(0))
    try:
        ioctl(device, KVM_GET_MSR_FEATURE_INDEX_LIST, buffer)
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
    # With E2BIG it has written how many there are.
    (count,) = _COUNT.unpack_from(buffer)
    if count > MOST:
        raise ValueError(f"it counts {count} of them")
    buffer += bytes(count * _COUNT.size)
    if count:
        ioctl(device, KVM_GET_MSR_FEATURE_INDEX_LIST, buffer)
    return decode_indices(buffer)


def features_json(features: KvmFeatures) -> dict[str, Any]:
    """As ``matrix doctor --json`` has them: numbers are hexadecimal texts, as many readers of JSON
    lose the low bits of 64."""
    return {
        "problem": features.problem,
        "kernel": features.kernel,
        "cpuid": [
            {name: f"{value:#x}" for name, value in asdict(leaf).items()} for leaf in features.cpuid
        ],
        "msrs": [
            {"index": f"{index:#x}", "value": f"{value:#x}"} for index, value in features.msrs
        ],
    }


def features_of_json(value: Any) -> KvmFeatures:
    """What :func:`features_json` has written.

    Raises:
        KeyError, TypeError, ValueError: it has not.
    """
    names = [field.name for field in fields(CpuidLeaf)]
    return KvmFeatures(
        str(value["problem"]),
        str(value["kernel"]),
        tuple(
            sorted(
                CpuidLeaf(*(_number(leaf[name], 32) for name in names)) for leaf in value["cpuid"]
            )
        ),
        tuple(
            sorted((_number(msr["index"], 32), _number(msr["value"], 64)) for msr in value["msrs"])
        ),
    )


def _number(text: str, bits: int) -> int:
    found = int(text, 16)
    if not 0 <= found < 1 << bits:
        raise ValueError(f"{text} is no number of {bits} bits")
    return found
