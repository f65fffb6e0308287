"""What is said of QEMUs that are known to lose a part of what they migrate."""

from typing import Any

import pytest

from matrix.inventory import Binary, Host, Inventory
from matrix.migrating import Migration
from matrix.model import Accelerator, Architecture, Build, Case, Test, Variant
from matrix.plan.decisions import Run
from matrix.verdict.qemu_bugs import CONDITION_CODE, known_qemu_bugs

WRITES = "may have lost some of what it writes meanwhile"
INTERRUPTS = "may have lost interrupts that are pending"


def binary(version: tuple[int, int, int], arch: Architecture, qemu: str = "system") -> Binary:
    return Binary(qemu, arch, f"/usr/bin/qemu-system-{arch}", version, "")


def bugs(
    *versions: tuple[int, int, int],
    arch: Architecture = Architecture.X86_64,
    accelerator: Accelerator = Accelerator.TCG,
    memory: int = 64 << 20,
    migrated: bool = True,
    machine: str | None = None,
) -> str:
    names = ["system", *(f"q{number}" for number in range(1, len(versions)))]
    binaries = [binary(version, arch, name) for version, name in zip(versions, names, strict=True)]
    migration = Migration(destinations=tuple(names[1:])) if migrated else None
    variant = Variant(arch, accelerator, machine=machine, memory=memory)
    build = Build(arch, "/build", "/build")
    case = Case("s.boot", "s", "builtin", Test("boot", "/x"), variant, build, migration=migration)
    decision = Run(case, accelerator, "asked for", 1, 2 * memory)
    host = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=8 * 2**30)
    return known_qemu_bugs(decision, Inventory(host, binaries=tuple(binaries)))


def test_an_old_tcg_loses_writes() -> None:
    assert bugs((7, 2, 22)) == (
        f"QEMU 7.2.22, as all before 9.0 under TCG, {WRITES}: a known fault of QEMU's"
    )


def test_each_side_counts_once() -> None:
    found = bugs((7, 2, 22), (11, 1, 0), (8, 2, 0))
    assert found.startswith("QEMU 7.2.22 and QEMU 8.2.0, as all before 9.0")
    assert bugs((11, 1, 0), (7, 2, 0)).startswith("QEMU 7.2.0, as")


@pytest.mark.parametrize(
    "fixed",
    [
        {"versions": [(9, 0, 0)]},
        {"versions": [(11, 1, 0), (10, 0, 0)]},
        {"versions": [(7, 2, 0)], "accelerator": Accelerator.KVM},
        {"versions": [(7, 2, 0)], "memory": (64 << 20) + 8192},
    ],
)
def test_others_lose_nothing(fixed: dict[str, Any]) -> None:
    assert bugs(*fixed.pop("versions"), **fixed) == ""


def test_interrupts_of_s390x() -> None:
    s390x = Architecture.S390X
    both = bugs((7, 2, 0), arch=s390x)
    assert INTERRUPTS in both
    assert WRITES in both
    between = bugs((9, 0, 0), arch=s390x)
    assert INTERRUPTS in between
    assert WRITES not in between
    assert bugs((9, 1, 0), arch=s390x) == CONDITION_CODE
    old = bugs((11, 1, 0), arch=s390x, machine="s390-ccw-virtio-7.2,aes-key-wrap=off")
    assert old.startswith("machine s390-ccw-virtio-7.2, as all before 9.1 under TCG, may have lost")
    assert bugs((11, 1, 0), arch=s390x, machine="s390-ccw-virtio-9.1") == CONDITION_CODE
    assert bugs((11, 1, 0), arch=s390x, machine="s390-ccw-virtio") == CONDITION_CODE


def test_the_condition_code_of_s390x_is_in_no_stream() -> None:
    s390x = Architecture.S390X
    assert bugs((11, 1, 0), arch=s390x).endswith(CONDITION_CODE)
    assert CONDITION_CODE in bugs((7, 2, 0), arch=s390x)
    assert bugs((11, 1, 0), arch=s390x, accelerator=Accelerator.KVM) == ""
    assert bugs((11, 1, 0), arch=s390x, migrated=False) == ""


def test_a_guest_that_stays_loses_nothing() -> None:
    assert bugs((7, 2, 0), migrated=False) == ""
