"""What we want to know of an ELF file: where its code is, and what it is called."""

import struct
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

LARGEST_TABLE = 64 * 2**20
"""Bytes of symbols that are read; kvm-unit-tests' guests have some 100 KiB."""

_EXECUTABLE = SH_FLAGS.SHF_ALLOC | SH_FLAGS.SHF_EXECINSTR
_CODE_TYPES = ("STT_NOTYPE", "STT_FUNC")
"""Assembly has the former."""
_BROKEN = (
    *(OSError, ELFError, struct.error),
    *(ValueError, ArithmeticError, LookupError, TypeError, AttributeError, AssertionError),
)
"""pyelftools checks little of what a file says of itself; a broken one raises any of these."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name for code."""

    address: int
    size: int
    """0 where it is not known, as of labels in assembly."""
    name: str
    skipped: int = 0
    """Bytes at its start that callers of the same file leave out (ppc64's ELFv2 ABI, 3.4.1)."""


@dataclass(frozen=True, slots=True)
class ElfFile:
    """What was read of one file."""

    relocated: bool
    """Its addresses are offsets to where it is loaded."""
    code: tuple[tuple[int, int], ...] = ()
    """(first address, address behind the last) of its sections that hold code."""
    symbols: tuple[Symbol, ...] = ()
    """Of code, by ascending address; of several at one address the one with a size is last."""

    @property
    def text(self) -> int | None:
        """Where its code begins (``_text`` of the linker scripts), None where there is none."""
        return min((start for start, _ in self.code), default=None)

    def symbol(self, address: int) -> Symbol | None:
        """The name of what is at an address of code, or None."""
        section = next(((a, b) for a, b in self.code if a <= address < b), None)
        if section is None:
            return None
        index = bisect_right(self.symbols, address, key=lambda symbol: symbol.address)
        found = self.symbols[index - 1] if index else None
        if found is None or found.address < section[0]:
            return None
        return found if not found.size or address < found.address + found.size else None


def read_elf(path: Path) -> ElfFile | None:
    """What the file says of its code; None where it cannot be read or is no ELF file."""
    try:
        with path.open("rb") as file:
            return _read(file)
    except _BROKEN:
        return None


@dataclass(frozen=True, slots=True)
class Function:
    """Where a function is in a file."""

    address: int
    size: int
    section: str
    """What ``address`` is an offset in; empty where the file is linked."""


def find_functions(path: Path, names: Collection[str]) -> dict[str, tuple[Function, ...]]:
    """The functions of those names, of which a kernel has several: each static one has its own.

    A kernel has some 200,000 symbols, so names are looked up as bytes. What cannot be read, or is
    no 64-bit ELF file, has none.
    """
    try:
        with path.open("rb") as file:
            return _find(ELFFile(file), names)
    except _BROKEN:
        return {}


def _find(elf: ELFFile, names: Collection[str]) -> dict[str, tuple[Function, ...]]:
    linked = elf["e_type"] != "ET_REL"
    entry = struct.Struct(("<" if elf.little_endian else ">") + "IBBHQQ")
    found: dict[str, list[Function]] = {}
    for table in elf.iter_sections("SHT_SYMTAB"):
        if elf.elfclass != 64 or table["sh_size"] > LARGEST_TABLE:
            continue
        strings = elf.get_section(table["sh_link"]).data()
        offsets = {at: name for name in names for at in _places(strings, name)}
        for at, info, _, index, value, size in entry.iter_unpack(table.data()):
            if at in offsets and info & 0xF in (0, 2):  # STT_NOTYPE, STT_FUNC
                section = "" if linked else elf.get_section(index).name
                found.setdefault(offsets[at], []).append(Function(value, size, section))
    return {name: tuple(functions) for name, functions in found.items()}


def _places(strings: bytes, name: str) -> Iterator[int]:
    """Where a table has a string, which may be the end of a longer one."""
    sought, at = name.encode() + b"\0", -1
    while (at := strings.find(sought, at + 1)) >= 0:
        yield at


def _read(file: BinaryIO) -> ElfFile:
    elf = ELFFile(file)
    code = tuple(
        (section["sh_addr"], section["sh_addr"] + section["sh_size"])
        for section in elf.iter_sections()
        if section["sh_flags"] & _EXECUTABLE == _EXECUTABLE and section["sh_size"]
    )
    symbols = [
        symbol
        for table in elf.iter_sections("SHT_SYMTAB")
        if isinstance(table, SymbolTableSection)
        for symbol in _symbols(table, code, two_entries=elf["e_machine"] == "EM_PPC64")
    ]
    symbols.sort(key=lambda symbol: (symbol.address, symbol.size))
    return ElfFile(elf["e_type"] == "ET_DYN", code, tuple(symbols))


def _symbols(
    table: SymbolTableSection, code: tuple[tuple[int, int], ...], *, two_entries: bool
) -> Iterator[Symbol]:
    if table["sh_size"] > LARGEST_TABLE:
        raise ValueError(table["sh_size"])
    for symbol in table.iter_symbols():
        address = symbol["st_value"]
        if symbol["st_info"]["type"] not in _CODE_TYPES:
            continue
        if not any(start <= address < end for start, end in code):
            continue
        # "$x", "$d" and the like only tell code from data (Arm's and RISC-V's ELF supplements).
        if symbol.name and not symbol.name.startswith(("$", ".L")):
            local = symbol["st_other"]["local"] if two_entries else 0
            yield Symbol(address, symbol["st_size"], symbol.name, ((1 << local) >> 2) << 2)
