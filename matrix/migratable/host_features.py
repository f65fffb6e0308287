"""Compares what KVM of two x86 hosts can give a guest with ``-cpu host``: CPUID and feature MSRs.
Pure.

A guest goes on with what it has found at its start: what the source offers and the destination
lacks stands against it. What is a bit of its own, and what is a number, is known of the leaves and
MSRs below: Intel SDM volume 2, CPUID; volume 3, appendix A (VMX) and volume 4 (MSRs); AMD APM
volume 3, appendix E. QEMU makes topology, caches and frequencies itself, or they do not matter.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import assert_never

from matrix.hosts.kvm_features import CpuidLeaf, KvmFeatures
from matrix.migratable.comparison import Difference, Weight

EVERY = 0xFFFFFFFF
FEATURE_WORDS: dict[tuple[int, int], dict[str, int]] = {
    (0x1, 0): {"ecx": EVERY & ~(1 << 27), "edx": EVERY & ~(1 << 28)},
    (0x6, 0): {"eax": EVERY},
    (0x7, 0): {"ebx": EVERY, "ecx": EVERY & ~(1 << 4), "edx": EVERY},
    (0x7, 1): {"eax": EVERY, "ecx": EVERY, "edx": EVERY},
    (0x7, 2): {"edx": EVERY},
    (0xD, 0): {"eax": EVERY, "edx": EVERY},
    (0xD, 1): {"eax": EVERY, "ecx": EVERY, "edx": EVERY},
    (0x14, 0): {"ebx": EVERY, "ecx": EVERY},
    (0x40000001, 0): {"eax": EVERY},
    (0x80000001, 0): {"ecx": EVERY & ~(1 << 1 | 1 << 22), "edx": EVERY},
    (0x80000007, 0): {"edx": EVERY & ~(1 << 8)},
    (0x80000008, 0): {"ebx": EVERY},
    (0x8000000A, 0): {"edx": EVERY},
    (0x80000021, 0): {"eax": EVERY},
    (0x80000022, 0): {"eax": EVERY},
    (0xC0000001, 0): {"edx": EVERY},
}
"""The bits of each register of which each is a feature.

Left out are those that follow from what the guest does (OSXSAVE, OSPKE) or from its topology (HTT,
CmpLegacy, TopologyExtensions), and what ``-cpu host`` has only with ``migratable=off`` (the
invariant TSC).
"""
SGX = {(0x7, 0, "ebx"): 1 << 2, (0x7, 0, "ecx"): 1 << 30}
"""What a guest has only with memory of SGX, of which nothing is asked."""
NUMBERS = {
    0xA: "its performance counters",
    0xD: "the layout of its XSAVE area",
    0x1D: "its tiles",
    0x1E: "its tile multiplier",
    0x24: "its version of AVX10",
}
"""Leaves whose registers hold numbers of which a guest may depend."""
REGISTERS = ("eax", "ebx", "ecx", "edx")


class Kind(StrEnum):
    """What the bits of a feature MSR are."""

    CAPABILITIES = "capabilities"
    """Each is a feature."""
    ALLOWED = "allowed"
    """Of VMX controls (SDM A.3 to A.5): a bit set in the low half must be 1, one that is set in the
    high half may be 1."""
    MUST_BE_ONE = "must be one"
    """CR0 and CR4 under VMX (SDM A.7, A.8): a bit set must be 1."""
    NOTED = "noted"
    """A revision: the guest reads it at its start, if ever."""


ALL = (1 << 64) - 1
MSRS: dict[int, tuple[str, Kind, int]] = {
    0x8B: ("IA32_BIOS_SIGN_ID", Kind.NOTED, 0),
    0xCE: ("MSR_PLATFORM_INFO", Kind.CAPABILITIES, 1 << 31),
    0xCF: ("IA32_CORE_CAPABILITIES", Kind.CAPABILITIES, ALL),
    # RSBA (2) and RRSBA (19) say that the CPU has a weakness: who loses one is better off.
    0x10A: ("IA32_ARCH_CAPABILITIES", Kind.CAPABILITIES, ALL & ~(1 << 2 | 1 << 19)),
    # Formats of LBR (5:0) and PEBS (11:8) are numbers.
    0x345: ("IA32_PERF_CAPABILITIES", Kind.CAPABILITIES, ALL & ~0xF3F),
    0x480: ("IA32_VMX_BASIC", Kind.CAPABILITIES, 1 << 49 | 1 << 54 | 1 << 55 | 1 << 56),
    0x481: ("IA32_VMX_PINBASED_CTLS", Kind.ALLOWED, ALL),
    0x482: ("IA32_VMX_PROCBASED_CTLS", Kind.ALLOWED, ALL),
    0x483: ("IA32_VMX_EXIT_CTLS", Kind.ALLOWED, ALL),
    0x484: ("IA32_VMX_ENTRY_CTLS", Kind.ALLOWED, ALL),
    0x485: ("IA32_VMX_MISC", Kind.CAPABILITIES, 0x7 << 28 | 0x3 << 14 | 0xF << 5),
    0x486: ("IA32_VMX_CR0_FIXED0", Kind.MUST_BE_ONE, ALL),
    0x487: ("IA32_VMX_CR0_FIXED1", Kind.CAPABILITIES, ALL),
    0x488: ("IA32_VMX_CR4_FIXED0", Kind.MUST_BE_ONE, ALL),
    0x489: ("IA32_VMX_CR4_FIXED1", Kind.CAPABILITIES, ALL),
    0x48B: ("IA32_VMX_PROCBASED_CTLS2", Kind.ALLOWED, ALL),
    0x48C: ("IA32_VMX_EPT_VPID_CAP", Kind.CAPABILITIES, ALL),
    0x48D: ("IA32_VMX_TRUE_PINBASED_CTLS", Kind.ALLOWED, ALL),
    0x48E: ("IA32_VMX_TRUE_PROCBASED_CTLS", Kind.ALLOWED, ALL),
    0x48F: ("IA32_VMX_TRUE_EXIT_CTLS", Kind.ALLOWED, ALL),
    0x490: ("IA32_VMX_TRUE_ENTRY_CTLS", Kind.ALLOWED, ALL),
    0x491: ("IA32_VMX_VMFUNC", Kind.CAPABILITIES, ALL),
    0x492: ("IA32_VMX_PROCBASED_CTLS3", Kind.CAPABILITIES, ALL),
    0x493: ("IA32_VMX_EXIT_CTLS2", Kind.CAPABILITIES, ALL),
    0xC0011029: ("MSR_AMD64_DE_CFG", Kind.CAPABILITIES, 1 << 1),
}
"""Number → name, kind, and the bits of that kind; other bits are numbers."""


def compare_features(source: KvmFeatures, destination: KvmFeatures) -> tuple[Difference, ...]:
    """What differs between the two hosts' KVMs, as it matters to a guest with ``-cpu host``; both
    are known."""
    return tuple(_features(source, destination))


def _features(source: KvmFeatures, destination: KvmFeatures) -> Iterator[Difference]:
    ours = {(leaf.function, leaf.index): leaf for leaf in source.cpuid}
    theirs = {(leaf.function, leaf.index): leaf for leaf in destination.cpuid}
    yield from _identity(ours, theirs)
    yield from _words(ours, theirs)
    yield from _numbers(ours, theirs)
    there = dict(destination.msrs)
    for index, value in source.msrs:
        yield from _msr(index, value, there.get(index))
    if source.kernel != destination.kernel:
        what = f"the kernel is {source.kernel}, {destination.kernel} there"
        yield Difference(Weight.OPEN, f"{what}: their KVMs may have other state")


Leaves = dict[tuple[int, int], CpuidLeaf]


def _identity(ours: Leaves, theirs: Leaves) -> Iterator[Difference]:
    vendors = [_vendor(leaves) for leaves in (ours, theirs)]
    if vendors[0] != vendors[1]:
        yield _against(f"the CPU's vendor is {vendors[0]}, {vendors[1]} there")
    models = [_register(leaves, 0x1, 0, "eax") for leaves in (ours, theirs)]
    if models[0] != models[1]:
        said = f"CPUID 0x1.eax (family, model, stepping) is {models[0]:#x}, {models[1]:#x} there"
        yield Difference(Weight.NOTE, said)
    wide = [_register(leaves, 0x80000008, 0, "eax") & 0xFF for leaves in (ours, theirs)]
    if wide[1] < wide[0]:
        said = f"physical addresses have {wide[0]} bits, {wide[1]} there"
        yield Difference(Weight.OPEN, said)


def _words(ours: Leaves, theirs: Leaves) -> Iterator[Difference]:
    for (function, index), registers in FEATURE_WORDS.items():
        for register, mask in registers.items():
            lost = _register(ours, function, index, register) & mask
            lost &= ~_register(theirs, function, index, register)
            unsure = lost & SGX.get((function, index, register), 0)
            name = f"CPUID {_leaf(function, index)}.{register}"
            if lost & ~unsure:
                yield _against(f"{name}{_bits(lost & ~unsure)} is not offered there")
            if unsure:
                said = f"{name}{_bits(unsure)} (SGX) is not offered there"
                yield Difference(Weight.OPEN, said)


def _numbers(ours: Leaves, theirs: Leaves) -> Iterator[Difference]:
    for (function, index), leaf in sorted(ours.items()):
        # Of 0xd the first two are bits and sizes of what is in use; a component that is not there
        # is a bit that is lost.
        area = function == 0xD
        if function not in NUMBERS or (area and (index < 2 or (function, index) not in theirs)):
            continue
        for register in ("eax", "ebx") if area else REGISTERS:
            here = leaf.register(register)
            there = _register(theirs, function, index, register)
            if here != there:
                name = f"CPUID {_leaf(function, index)}.{register} ({NUMBERS[function]})"
                yield Difference(Weight.OPEN, f"{name} is {here:#x}, {there:#x} there")


def _msr(index: int, value: int, there: int | None) -> Iterator[Difference]:
    known = MSRS.get(index)
    if value == there:
        return
    if known is None:
        said = "not there" if there is None else f"{there:#x} there"
        yield Difference(
            Weight.OPEN, f"MSR {index:#x} is {value:#x}, {said}: nothing is known of it"
        )
        return
    name, kind, mask = known
    theirs = there or 0
    lost = value & ~theirs & mask
    gained = theirs & ~value & mask
    match kind:
        case Kind.NOTED:
            yield Difference(Weight.NOTE, f"{name} is {value:#x}, {theirs:#x} there")
            return
        case Kind.CAPABILITIES:
            if lost:
                yield _against(f"{name}{_bits(lost)} is not offered there")
        case Kind.MUST_BE_ONE:
            if gained:
                yield _against(f"{name}{_bits(gained)} must be 1 there")
        case Kind.ALLOWED:
            if lost >> 32:
                yield _against(f"{name}: control{_bits(lost >> 32)} may not be 1 there")
            if gained & EVERY:
                yield _against(f"{name}: control{_bits(gained & EVERY)} may not be 0 there")
        case _:
            assert_never(kind)
    if (value ^ theirs) & ~mask:
        said = f"{name} is {value:#x}, {theirs:#x} there: numbers in it differ"
        yield Difference(Weight.OPEN, said)


def _vendor(leaves: Leaves) -> str:
    words = (_register(leaves, 0, 0, register) for register in ("ebx", "edx", "ecx"))
    return b"".join(word.to_bytes(4, "little") for word in words).decode("latin-1").strip("\0")


def _register(leaves: Leaves, function: int, index: int, register: str) -> int:
    """A register's value; 0 where there is no such leaf, which is how CPUs answer."""
    leaf = leaves.get((function, index))
    return 0 if leaf is None else leaf.register(register)


def _leaf(function: int, index: int) -> str:
    """As Intel and Linux write it: 0x7.1 for ``ecx`` 1, without it for 0."""
    return f"{function:#x}" + (f".{index}" if index else "")


def _bits(value: int) -> str:
    """``[3,7]``."""
    return f"[{','.join(str(bit) for bit in range(value.bit_length()) if value >> bit & 1)}]"


def _against(text: str) -> Difference:
    return Difference(Weight.AGAINST, text)
