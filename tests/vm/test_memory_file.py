"""The numbers of vCPUs in QEMU's dumps."""

import struct
from pathlib import Path

import pytest

from matrix.vm.memory_file import number_vcpus

PPC64, S390X, X86_64 = 21, 22, 62
"""By the ELF header (e_machine)."""


def note(order: str, kind: int, name: bytes, content: bytes) -> bytes:
    head = struct.pack(order + "3I", len(name), len(content), kind)
    return head + b"".join(each.ljust((len(each) + 3) // 4 * 4, b"\0") for each in (name, content))


def dump(order: str, machine: int, *numbers: int) -> bytes:
    """As QEMU lays it out: header, program headers (the notes' first), and what they name."""
    notes = b"".join(
        note(order, 1, b"CORE\0", b"a" * 32 + struct.pack(order + "I", number) + b"registers")
        + note(order, 2, b"CORE\0", b"floating point" * 3)
        + note(order, 1, b"LINUX\0", b"q" * 41)
        for number in numbers
    )
    identity = b"\x7fELF\2" + bytes([1 + (order == ">")]) + bytes(10)
    header = struct.pack(order + "2H I 3Q I 6H", 4, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    program = struct.pack(order + "2I 6Q", 4, 0, 120, 0, 0, len(notes), len(notes), 0)
    return identity + header + program + notes + b"memory"


@pytest.mark.parametrize(
    ("order", "machine", "wrong"),
    [
        (">", PPC64, (0, 0)),
        ("<", PPC64, (0, 0)),
        (">", S390X, (1 << 24, 2 << 24)),
        (">", S390X, (1, 2)),
    ],
)
def test_each_vcpu_has_a_number(
    order: str, machine: int, wrong: tuple[int, int], tmp_path: Path
) -> None:
    """What QEMU 7.2.22 writes on x86_64, and 10.0.2 last."""
    path = tmp_path / "memory.elf"
    path.write_bytes(dump(order, machine, *wrong))
    number_vcpus(path)
    assert path.read_bytes() == dump(order, machine, 1, 2)


def test_others_have_theirs(tmp_path: Path) -> None:
    """Elsewhere in the file, for x86_64 by the CPU's mode."""
    path = tmp_path / "memory.elf"
    path.write_bytes(dump("<", X86_64, 0, 0))
    number_vcpus(path)
    assert path.read_bytes() == dump("<", X86_64, 0, 0)


def test_another_file_is_no_dump(tmp_path: Path) -> None:
    path = tmp_path / "memory.elf"
    path.write_bytes(b"short")
    with pytest.raises(struct.error):
        number_vcpus(path)
    assert path.read_bytes() == b"short"
