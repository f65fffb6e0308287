"""What differs between the KVMs of two hosts, over records written by hand."""

from dataclasses import replace

import pytest

from matrix.hosts.kvm_features import CpuidLeaf, KvmFeatures
from matrix.migratable.comparison import Weight
from matrix.migratable.host_features import FEATURE_WORDS, MSRS, NUMBERS, compare_features

INTEL = CpuidLeaf(0, 0, 0x20, 0x756E6547, 0x6C65746E, 0x49656E69)
AMD = CpuidLeaf(0, 0, 0x10, 0x68747541, 0x444D4163, 0x69746E65)
AGAINST, OPEN, NOTE = Weight.AGAINST, Weight.OPEN, Weight.NOTE


def features(*leaves: CpuidLeaf, kernel: str = "6.12", **msrs: int) -> KvmFeatures:
    """MSRs are named as ``x10a=1``."""
    values = tuple((int(name[1:], 16), value) for name, value in msrs.items())
    return KvmFeatures("", kernel, (INTEL, *leaves), values)


def of_msr(number: int, value: int) -> KvmFeatures:
    return replace(features(), msrs=((number, value),))


def compared(source: KvmFeatures, destination: KvmFeatures) -> list[tuple[Weight, str]]:
    return [(each.weight, each.text) for each in compare_features(source, destination)]


def test_the_same() -> None:
    both = features(CpuidLeaf(7, 0, 2, 3, 4, 5), CpuidLeaf(0xD, 2, 256, 576, 0, 0), x10a=1, x99=7)
    assert compared(both, both) == []


def test_bits_that_are_lost_and_gained() -> None:
    ours = features(CpuidLeaf(7, 0, 2, 1 << 16 | 1 << 3, 0, 0), CpuidLeaf(7, 1, 1 << 4, 0, 0, 0))
    theirs = features(CpuidLeaf(7, 0, 1, 1 << 5, 1, 1))
    assert compared(ours, theirs) == [
        (AGAINST, "CPUID 0x7.ebx[3,16] is not offered there"),
        (AGAINST, "CPUID 0x7.1.eax[4] is not offered there"),
    ]
    assert compared(theirs, ours) == [
        (AGAINST, "CPUID 0x7.ebx[5] is not offered there"),
        (AGAINST, "CPUID 0x7.ecx[0] is not offered there"),
        (AGAINST, "CPUID 0x7.edx[0] is not offered there"),
    ]
    assert compared(features(), ours) == []


def test_bits_of_the_guests_own_doing() -> None:
    """OSXSAVE, HTT, OSPKE, CmpLegacy, TopologyExtensions, the invariant TSC."""
    ours = features(
        CpuidLeaf(1, 0, 0, 0, 1 << 27, 1 << 28),
        CpuidLeaf(7, 0, 0, 0, 1 << 4, 0),
        CpuidLeaf(0x80000001, 0, 0, 0, 1 << 1 | 1 << 22, 0),
        CpuidLeaf(0x80000007, 0, 0, 0, 0, 1 << 8),
        CpuidLeaf(0xB, 0, 1, 2, 3, 4),
    )
    assert compared(ours, features()) == []


def test_sgx_may_not_be_used() -> None:
    ours = features(CpuidLeaf(7, 0, 0, 1 << 2, 1 << 30 | 1, 0))
    assert compared(ours, features()) == [
        (OPEN, "CPUID 0x7.ebx[2] (SGX) is not offered there"),
        (AGAINST, "CPUID 0x7.ecx[0] is not offered there"),
        (OPEN, "CPUID 0x7.ecx[30] (SGX) is not offered there"),
    ]


def test_another_cpu() -> None:
    leaves = CpuidLeaf(1, 0, 0xC06F2, 0, 0, 0), CpuidLeaf(0x80000008, 0, 0x392E, 0, 0, 0)
    ours = features(*leaves)
    theirs = KvmFeatures("", "6.12", (AMD, replace(leaves[1], eax=0x302D)))
    assert compared(ours, theirs) == [
        (AGAINST, "the CPU's vendor is GenuineIntel, AuthenticAMD there"),
        (NOTE, "CPUID 0x1.eax (family, model, stepping) is 0xc06f2, 0x0 there"),
        (OPEN, "physical addresses have 46 bits, 45 there"),
    ]


def test_numbers() -> None:
    ours = features(CpuidLeaf(0xA, 0, 0x7300802, 0, 0, 0), CpuidLeaf(0xD, 9, 8, 2688, 0, 0))
    theirs = features(CpuidLeaf(0xD, 1, 9, 0, 0, 0), CpuidLeaf(0xD, 9, 8, 2440, 0, 0))
    assert compared(ours, theirs) == [
        (OPEN, "CPUID 0xa.eax (its performance counters) is 0x7300802, 0x0 there"),
        (OPEN, "CPUID 0xd.9.ebx (the layout of its XSAVE area) is 0xa80, 0x988 there"),
    ]
    assert compared(features(CpuidLeaf(0xD, 9, 8, 2688, 0, 0)), features()) == []


def test_another_kernel() -> None:
    assert compared(features(kernel="6.1"), features()) == [
        (OPEN, "the kernel is 6.1, 6.12 there: their KVMs may have other state")
    ]


@pytest.mark.parametrize(
    ("msr", "ours", "theirs", "expected"),
    [
        (0x10A, 0b101011, 0b100011, [(AGAINST, "IA32_ARCH_CAPABILITIES[3] is not offered there")]),
        (0x10A, 0b1, 0b1001, []),
        (
            0x10A,
            0,
            4,
            [(OPEN, "IA32_ARCH_CAPABILITIES is 0x0, 0x4 there: numbers in it differ")],
        ),
        (0xCE, 1 << 31, 0, [(AGAINST, "MSR_PLATFORM_INFO[31] is not offered there")]),
        (0x8B, 2, 1, [(NOTE, "IA32_BIOS_SIGN_ID is 0x2, 0x1 there")]),
        (
            0x48E,
            1 << 39,
            0,
            [(AGAINST, "IA32_VMX_TRUE_PROCBASED_CTLS: control[7] may not be 1 there")],
        ),
        (0x48E, 0, 1 << 39, []),
        (
            0x48E,
            0,
            1 << 7,
            [(AGAINST, "IA32_VMX_TRUE_PROCBASED_CTLS: control[7] may not be 0 there")],
        ),
        (0x48E, 1 << 7, 0, []),
        (0x486, 1, 0x21, [(AGAINST, "IA32_VMX_CR0_FIXED0[5] must be 1 there")]),
        (0x486, 0x21, 1, []),
        (0x487, 0x21, 1, [(AGAINST, "IA32_VMX_CR0_FIXED1[5] is not offered there")]),
        (0x999, 1, 3, [(OPEN, "MSR 0x999 is 0x1, 0x3 there: nothing is known of it")]),
    ],
)
def test_an_msr(msr: int, ours: int, theirs: int, expected: list[tuple[Weight, str]]) -> None:
    assert compared(of_msr(msr, ours), of_msr(msr, theirs)) == expected


def test_an_msr_of_one_side() -> None:
    assert compared(features(x999=1, x345=1 << 13), features()) == [
        (OPEN, "MSR 0x999 is 0x1, not there: nothing is known of it"),
        (AGAINST, "IA32_PERF_CAPABILITIES[13] is not offered there"),
    ]
    assert compared(features(), features(x999=1, x345=1 << 13)) == []


def test_the_tables_do_not_say_a_leaf_twice() -> None:
    both = {function for function, _ in FEATURE_WORDS} & NUMBERS.keys()
    assert both == {0xD}  # whose first two are words
    names = [name for name, *_ in MSRS.values()]
    assert len(set(names)) == len(names)
