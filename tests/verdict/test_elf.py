"""ELF files: the embedded guests', which are of both classes and byte orders, and broken ones."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matrix.guests
from matrix.model import Architecture
from matrix.verdict.elf import ElfFile, Symbol, read_elf

IMAGES = Path(matrix.guests.__file__).parent / "images"


def guest(architecture: Architecture) -> Path:
    (path,) = (IMAGES / architecture.value).glob("*/guest.elf")
    return path


@pytest.mark.parametrize("architecture", list(Architecture))
def test_the_embedded_guests(architecture: Architecture) -> None:
    elf = read_elf(guest(architecture))
    assert elf is not None
    assert not elf.relocated
    (main,) = (symbol for symbol in elf.symbols if symbol.name == "guest_main")
    assert main.size > 0
    assert elf.text is not None
    assert elf.text <= main.address
    for address in (main.address, main.address + main.size - 1):
        assert elf.symbol(address) == main
    assert elf.symbol(main.address + main.size) != main
    assert not any(symbol.name.startswith("$") for symbol in elf.symbols)


SYMBOLS = (
    Symbol(0x1000, 0, "start"),
    Symbol(0x1010, 0, "alias"),
    Symbol(0x1010, 0x10, "main"),
    Symbol(0x3000, 0x10, "elsewhere"),
)
ELF = ElfFile(relocated=False, code=((0x1000, 0x2000), (0x3000, 0x3100)), symbols=SYMBOLS)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0x0FFF, None),
        (0x1000, "start"),
        (0x100F, "start"),  # a label has no end but the next one
        (0x1010, "main"),
        (0x101F, "main"),
        (0x1020, None),
        (0x2000, None),
        (0x3000, "elsewhere"),
        (0x3100, None),
    ],
)
def test_what_is_at_an_address(address: int, name: str | None) -> None:
    found = ELF.symbol(address)
    assert (found.name if found else None) == name


def test_a_name_does_not_reach_into_the_next_section() -> None:
    elf = ElfFile(relocated=False, code=((0x1000, 0x2000), (0x3000, 0x3100)), symbols=SYMBOLS[:1])
    assert elf.symbol(0x3000) is None


def test_no_code() -> None:
    assert ElfFile(relocated=True).text is None


def test_files_that_are_none(tmp_path: Path) -> None:
    assert read_elf(tmp_path / "missing") is None
    assert read_elf(tmp_path) is None
    (tmp_path / "flat").write_bytes(b"\x90" * 100)
    assert read_elf(tmp_path / "flat") is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_bytes_whatever_raise(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Headers changed at random, and files cut off anywhere."""
    architecture = data.draw(st.sampled_from([Architecture.ARM, Architecture.S390X]))
    content = bytearray(guest(architecture).read_bytes())
    tables = len(content) - 0x800
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.one_of(st.integers(0, 0x40), st.integers(tables, len(content) - 1)))
        content[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)))
    path = tmp_path_factory.mktemp("elf") / "guest.elf"
    path.write_bytes(content[: end if data.draw(st.booleans()) else None])
    found = read_elf(path)
    assert found is None or all(isinstance(symbol.name, str) for symbol in found.symbols)
