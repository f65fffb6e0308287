"""The golden texts are what QEMU 7.2 and 11.1 printed, two vCPUs each, a second after start.

(s390x and arm before the start, as nothing runs there without an image.)
"""

from pathlib import Path

import pytest

from matrix.vm.registers import VcpuRegisters, describe, fingerprint, parse

GOLDEN = Path(__file__).parent / "data" / "registers"
EXPECTED = {
    "aarch64-7.2": ((0x200, False), (0x0, False)),
    "aarch64-11.1": ((0x200, False), (0x0, False)),
    "arm-7.2": ((0x818800, False), (0x0, False)),
    "i386-7.2": ((0xFB7B9, True), (0xFD09A, True)),
    "mips64el-7.2": ((0xFFFFFFFFC0000000, False), (0xFFFFFFFFBFDE6800, False)),
    "ppc64-7.2": ((0x1DAF259C, False), (0x100, False)),
    "ppc64-11.1": ((0x1DAF1530, False), (0x100, False)),
    "riscv64-7.2": ((0x0, False), (0x80009B04, False)),
    "riscv64-11.1": ((0x0, False), (0x80018CC8, False)),
    "s390x-7.2": ((0x7E003E8, False), (0x0, False)),
    "s390x-11.1": ((0x7D00B48, False), (0x0, False)),
    "x86_64-7.2": ((0xFB7B9, True), (0xFD09A, True)),
    "x86_64-long-7.2": ((0x10008B, False), (0xFD09A, True)),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.iterdir()))
def test_program_counters(name: str) -> None:
    vcpus = parse((GOLDEN / f"{name}.txt").read_text())
    assert tuple((vcpu.program_counter, vcpu.halted) for vcpu in vcpus) == EXPECTED[name]
    assert [vcpu.index for vcpu in vcpus] == [0, 1]


def test_a_waiting_s390x_is_halted() -> None:
    text = "\nCPU#0\nPSW=mask 0002000180000000 addr 0000000000000fff cc 00\nR00=0\n"
    assert parse(text) == (VcpuRegisters(0, 0xFFF, halted=True),)


@pytest.mark.parametrize("text", ["", "unknown command: 'info'", "CPU#0", "CPU#0\nnothing known\n"])
def test_other_text(text: str) -> None:
    assert [vcpu.program_counter for vcpu in parse(text)] in ([], [None])


@pytest.mark.parametrize(
    ("name", "clocks"),
    [
        ("ppc64-7.2", ("515996107", "3778972285")),
        ("ppc64-11.1", ("515281571", "18446744073194270333")),
        ("riscv64-11.1", ("000002fd23038cd7", "000002fd23039411")),
    ],
)
def test_clocks_do_not_change_the_fingerprint(name: str, clocks: tuple[str, ...]) -> None:
    text = (GOLDEN / f"{name}.txt").read_text()
    later = text
    for clock in clocks:
        assert clock in text
        later = later.replace(clock, clock[::-1])
    assert fingerprint(later) == fingerprint(text)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_any_other_register_does(name: str) -> None:
    text = (GOLDEN / f"{name}.txt").read_text()
    counter = f"{EXPECTED[name][1][0]:x}" if EXPECTED[name][1][0] else "0000 "
    head, _, tail = text.rpartition(counter)
    assert head
    assert fingerprint(head + "f" * len(counter) + tail) != fingerprint(text)


def test_describe() -> None:
    vcpus = (
        VcpuRegisters(0, 0x40080124, halted=True),
        VcpuRegisters(1, 0x40080200, halted=False),
        VcpuRegisters(2, 0x40080200, halted=False),
        VcpuRegisters(3, None, halted=False),
        VcpuRegisters(4, 0x40080124, halted=True),
    )
    assert describe(vcpus, {0: "asleep", 1: "running", 2: "running", 3: "asleep"}) == (
        "vCPUs 0+4 halted at pc 0x40080124, vCPUs 1-2 running at pc 0x40080200, "
        "vCPU 3 asleep at an unknown pc"
    )
    assert describe(vcpus[1:2]) == "vCPU 1 at pc 0x40080200"
