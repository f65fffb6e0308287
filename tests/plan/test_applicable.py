"""On which hosts known failures apply."""

from dataclasses import replace
from typing import Any

import pytest

from matrix.inventory import KvmState
from matrix.model import AcceleratorLabel, Architecture, BootFirmware, Build, Endian, Expectation
from matrix.plan.applicable import applicable
from matrix.plan.decisions import Run
from matrix.plan.planner import decide
from matrix.versions import parse_range
from tests import make

BUILD = Build(Architecture.X86_64, "/b", "/b/x86", efi=True, endian=Endian.BIG)


def known(line: int = 1, **conditions: Any) -> Expectation:
    return Expectation(f"known.yaml:{line}", "a bug", ("*",), **conditions)


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({}, True),
        ({"accel": (AcceleratorLabel.TCG,)}, True),
        ({"accel": (AcceleratorLabel.KVM,)}, False),
        ({"accel": (AcceleratorLabel.KVM, AcceleratorLabel.TCG)}, True),
        ({"qemu": (parse_range("==7.2"),)}, True),
        ({"qemu": (parse_range(">=10"),)}, False),
        ({"qemu": (parse_range(">=10"), parse_range("<8"))}, True),
        ({"host_kernel": (parse_range("<6.2"),)}, True),
        ({"host_kernel": (parse_range(">=6.2"),)}, False),
        ({"cpu_vendor": ("AuthenticAMD", "GenuineIntel")}, True),
        ({"cpu_vendor": ("AuthenticAMD",)}, False),
        ({"firmware": (BootFirmware.UEFI,)}, True),
        ({"firmware": (BootFirmware.DEFAULT,)}, False),
        ({"firmware": tuple(BootFirmware), "endian": tuple(Endian)}, True),
        ({"endian": (Endian.BIG,)}, True),
        ({"endian": (Endian.LITTLE,)}, False),
        ({"qemu": (parse_range("==7.2"),), "accel": (AcceleratorLabel.KVM,)}, False),
    ],
)
def test_each(conditions: dict[str, Any], holds: bool) -> None:
    entry = known(**conditions)
    host = replace(make.inventory().host, cpu_vendor="GenuineIntel", kernel="6.1.0-44-amd64")
    kept = applicable((entry,), AcceleratorLabel.TCG, make.binary(make.ARM64), host, BUILD)
    assert kept == ((entry,) if holds else ())


def test_a_kernel_without_a_version_is_in_no_range() -> None:
    host = replace(make.inventory().host, kernel="custom")
    entry = known(host_kernel=(parse_range(">=0"),))
    assert applicable((entry,), AcceleratorLabel.TCG, make.binary(make.ARM64), host, BUILD) == ()


def test_what_all_holds_is_shared() -> None:
    entries = (known(1), known(2))
    host = make.inventory().host
    assert (
        applicable(entries, AcceleratorLabel.TCG, make.binary(make.ARM64), host, BUILD) is entries
    )


@pytest.mark.parametrize("accelerator", ["kvm", "tcg"])
def test_the_plan_decides_by_what_the_case_gets(accelerator: str) -> None:
    """``accel: auto``: the condition is on the accelerator that it comes to."""
    state = KvmState.WORKS if accelerator == "kvm" else KvmState.BROKEN
    arch = Architecture.X86_64
    inventory = make.inventory(make.binary(arch), proofs=(make.proof(state),))
    tcg, kvm = known(1, accel=(AcceleratorLabel.TCG,)), known(2, accel=(AcceleratorLabel.KVM,))
    decision = decide(replace(make.case(arch=arch), expected=(tcg, kvm)), inventory)
    assert isinstance(decision, Run)
    assert decision.expected == ((kvm,) if accelerator == "kvm" else (tcg,))
    assert decision.case.expected == (tcg, kvm)
