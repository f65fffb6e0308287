"""Which gdb debugs a guest, and what it is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.model import Accelerator, Architecture, Build, Endian
from matrix.run.debugger import debugger_command, find_debugger
from matrix.suites.build import builtin_build
from tests.verdict.test_symbols import MakeElf, make_elf  # noqa: F401 - a fixture

SOCKET = Path("/tmp/d/gdb.sock")


def commands(build: Build, image: Path, accelerator: Accelerator = Accelerator.TCG) -> list[str]:
    program, quiet, *words = debugger_command("gdb", SOCKET, build, str(image), accelerator)
    assert (program, quiet) == ("gdb", "-q")
    assert set(words[::2]) == {"-ex"}
    assert words[1] == "set remotetimeout 60"
    return words[3::2]


def embedded(architecture: Architecture) -> tuple[Build, Path]:
    build = builtin_build(architecture)
    (image,) = Path(build.images).glob("guest.elf")
    return build, image


@pytest.mark.parametrize(
    ("architecture", "name", "endian", "first", "second"),
    [
        ("x86_64", "i386:x86-64", "little", "*guest_unhandled", "*report if ($rdi & 0xff) == 0"),
        ("aarch64", "aarch64", "little", "*guest_unhandled", "*report if ($x0 & 0xff) == 0"),
        # Callers in the same file leave out the two instructions that load the TOC's address.
        (
            *("ppc64", "powerpc:common64", "little"),
            *("*guest_unhandled+8", "*report+8 if ($r3 & 0xff) == 0"),
        ),
        ("s390x", "s390:64-bit", "big", "*guest_unhandled", "*report if ($r2 & 0xff) == 0"),
        ("riscv64", "riscv:rv64", "little", "*guest_unhandled", "*report if ($a0 & 0xff) == 0"),
    ],
)
def test_embedded_guests(
    architecture: str, name: str, endian: str, first: str, second: str
) -> None:
    build, image = embedded(Architecture(architecture))
    assert commands(build, image) == [
        f"set architecture {name}",
        f"set endian {endian}",
        f"file {image}",
        f"target remote {SOCKET}",
        f"break {first}",
        f"break {second}",
    ]


def test_breakpoints_under_kvm() -> None:
    """Those of software would be written into memory, and the image over them."""
    told = commands(*embedded(Architecture.X86_64), Accelerator.KVM)[4:]
    assert told == ["hbreak *guest_unhandled", "hbreak *report if ($rdi & 0xff) == 0"]
    assert commands(*embedded(Architecture.PPC64), Accelerator.KVM)[4:] == []


def test_a_relocated_guest(make_elf: MakeElf) -> None:  # noqa: F811 - the fixture imported above
    image = make_elf("a test.elf", 0x40)
    build = Build(Architecture.AARCH64, "/build", str(image.parent))
    told = commands(build, image.with_suffix(".flat"))
    assert told[2:] == [
        f'symbol-file -o 0x40080000 "{image}"',
        f"target remote {SOCKET}",
    ]


def test_guests_whose_symbols_tell_nothing(make_elf: MakeElf) -> None:  # noqa: F811 - the fixture imported above
    image = make_elf("test.elf", 0x40)
    build = Build(Architecture.PPC64, "/build", str(image.parent), endian=Endian.BIG)
    attached = ["set architecture powerpc:common64", "set endian big", f"target remote {SOCKET}"]
    assert commands(build, Path("/nothing")) == attached
    assert commands(replace(build, efi=True), image) == attached


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({"gdb-multiarch": "exit 0", "gdb": "exit 0"}, "gdb-multiarch"),
        ({"gdb": 'test "$*" = "-nx -batch -ex set architecture s390:64-bit"'}, "gdb"),
        ({"gdb-multiarch": "exit 1", "gdb": "exit 1"}, ""),
        ({}, ""),
    ],
)
def test_which_gdb(
    known: dict[str, str], found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in known.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = str(tmp_path / found) if found else ""
    assert find_debugger(Architecture.S390X) == wanted
