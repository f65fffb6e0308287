"""What is said of QEMUs that are known to lose a part of what they migrate."""

from dataclasses import replace
from typing import Any

import pytest

from matrix.inventory import Binary
from matrix.migrating import Migration
from matrix.model import Accelerator, Architecture
from matrix.plan.decisions import Run
from matrix.plan.flaws import migration_flaw

WRITES = "may have lost some of what it writes meanwhile"
INTERRUPTS = "may have lost interrupts that are pending"


def flaw(
    make: Any,
    *versions: tuple[int, int, int],
    arch: Architecture = Architecture.X86_64,
    accelerator: Accelerator = Accelerator.TCG,
    memory: int = 64 << 20,
) -> str:
    binaries: list[Binary] = [
        make.binary(arch, qemu="system" if number == 0 else f"q{number}", version=version)
        for number, version in enumerate(versions)
    ]
    migration = Migration(destinations=tuple(binary.qemu for binary in binaries[1:]))
    case = make.case(arch, migration=migration, accel=accelerator, memory=memory)
    decision = Run(case, accelerator, "asked for", 1, 2 * memory)
    return migration_flaw(decision, make.inventory(*binaries))


def test_an_old_tcg_loses_writes(make: Any) -> None:
    assert flaw(make, (7, 2, 22)) == (
        f"QEMU 7.2.22, as all before 9.0 under TCG, {WRITES}: a known fault of QEMU's"
    )


def test_each_side_counts_once(make: Any) -> None:
    found = flaw(make, (7, 2, 22), (11, 1, 0), (8, 2, 0))
    assert found.startswith("QEMU 7.2.22 and QEMU 8.2.0, as all before 9.0")
    assert flaw(make, (11, 1, 0), (7, 2, 0)).startswith("QEMU 7.2.0, as")


@pytest.mark.parametrize(
    "sound",
    [
        {"versions": [(9, 0, 0)]},
        {"versions": [(11, 1, 0), (10, 0, 0)]},
        {"versions": [(7, 2, 0)], "accelerator": Accelerator.KVM},
        {"versions": [(7, 2, 0)], "memory": (64 << 20) + 8192},
    ],
)
def test_others_lose_nothing(make: Any, sound: dict[str, Any]) -> None:
    assert flaw(make, *sound.pop("versions"), **sound) == ""


def test_interrupts_of_s390x(make: Any) -> None:
    s390x = Architecture.S390X
    both = flaw(make, (7, 2, 0), arch=s390x)
    assert INTERRUPTS in both
    assert WRITES in both
    between = flaw(make, (9, 1, 0), arch=s390x)
    assert INTERRUPTS in between
    assert WRITES not in between
    assert flaw(make, (10, 0, 0), arch=s390x) == ""


def test_a_guest_that_stays_loses_nothing(make: Any) -> None:
    case = replace(make.case(Architecture.X86_64), migration=None)
    decision = Run(case, Accelerator.TCG, "asked for", 1, 1)
    binary = make.binary(Architecture.X86_64, version=(7, 2, 0))
    assert migration_flaw(decision, make.inventory(binary)) == ""
