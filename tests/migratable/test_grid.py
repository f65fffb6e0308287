"""Which guests are asked about."""

from dataclasses import replace

import pytest

from matrix.errors import UsageError
from matrix.inventory import Binary, Host, Inventory, Machine
from matrix.migratable.grid import Question, asked_of
from matrix.model import Architecture

X86, S390X, RISCV64 = Architecture.X86_64, Architecture.S390X, Architecture.RISCV64


def binary(qemu: str, architecture: Architecture, machines: str, cpus: str) -> Binary:
    made = tuple(
        Machine(name, alias)
        for name, _, alias in (each.partition("=") for each in machines.split())
    )
    return Binary(
        qemu, architecture, f"/{qemu}", (9, 0, 0), "9.0.0", machines=made, cpus=tuple(cpus.split())
    )


OLD = (
    binary("old", X86, "pc-i440fx-7.2=pc pc-q35-7.1 pc-q35-7.2=q35 isapc", "qemu64 max"),
    binary("old", S390X, "s390-ccw-virtio-7.2=s390-ccw-virtio", "qemu z14"),
)
NEW = (
    binary("new", X86, "pc-i440fx-8.0=pc pc-q35-7.2 pc-q35-8.0=q35", "qemu64 max Turin"),
    binary("new", S390X, "s390-ccw-virtio-7.2 s390-ccw-virtio-8.0=s390-ccw-virtio", "qemu z14"),
    binary("new", RISCV64, "virt", "rv64"),
)
HOST = Host(
    architecture="x86_64", kernel="6.1", cpus=2, memory=1 << 30, cpu_vendor="", cpu_model=""
)
INVENTORY = Inventory(
    HOST, binaries=(*OLD, *NEW), missing=(("old", RISCV64, "no qemu-system-riscv64 in /old"),)
)
QUESTION = Question("old", "new")


def asked(question: Question) -> list[tuple[str, str, str]]:
    return [
        (each.guest.architecture.value, each.guest.machine, each.guest.cpu)
        for each in asked_of(question, INVENTORY)
    ]


def test_without_options_the_usual_machines_of_what_both_emulate() -> None:
    assert asked(QUESTION) == [
        ("x86_64", "pc", ""),
        ("x86_64", "pc-q35-7.2", ""),
        ("s390x", "s390-ccw-virtio-7.2", ""),
    ]
    problems = [each.problem for each in asked_of(QUESTION, INVENTORY)]
    assert problems == [
        "QEMU 9.0.0 and QEMU 9.0.0 have no machine pc-i440fx-VERSION in common",
        "",
        "",
    ]


def test_both_directions_or_one_within_a_qemu() -> None:
    first = asked_of(QUESTION, INVENTORY)[0]
    assert [(a.qemu, b.qemu) for a, b in first.directions] == [("old", "new"), ("new", "old")]
    same = asked_of(Question("new", "new"), INVENTORY)[0]
    assert [(a.qemu, b.qemu) for a, b in same.directions] == [("new", "new")]


def test_options_narrow() -> None:
    question = replace(QUESTION, machines=("all",), cpus=("qemu64,+avx", "z14"))
    assert asked(question) == [
        ("x86_64", "pc-q35-7.2", "qemu64,+avx"),
        ("s390x", "s390-ccw-virtio-7.2", "z14"),
    ]
    assert asked(replace(QUESTION, machines=("q35,smm=off",))) == [
        ("x86_64", "pc-q35-7.2,smm=off", "")
    ]
    assert asked(replace(QUESTION, architectures=(S390X,))) == [
        ("s390x", "s390-ccw-virtio-7.2", "")
    ]


def test_a_machine_of_one_side_is_answered() -> None:
    [one] = asked_of(replace(QUESTION, machines=("isapc",)), INVENTORY)
    assert one.problem == "QEMU 9.0.0 has no machine 'isapc'"


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (replace(QUESTION, machines=("q36",)), "--machine q36: neither QEMU has it"),
        (replace(QUESTION, cpus=("z99",)), "--cpu z99: neither QEMU has it"),
        (
            replace(QUESTION, architectures=(RISCV64,)),
            "--arch riscv64: no qemu-system-riscv64 in /old",
        ),
        (Question("old", "none"), "old and none emulate no architecture in common"),
    ],
)
def test_what_neither_has_is_refused(question: Question, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        asked_of(question, INVENTORY)
