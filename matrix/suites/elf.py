"""The few things that we want to know of an ELF file: where its code is, and what it is called.

Written out by hand, because it takes one table of sections and one of symbols: System V ABI,
chapters 4 and 5 (elf(5)). Files of either class and byte order.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LARGEST_TABLE = 64 * 2**20
"""Bytes of symbols or names that are read; kvm-unit-tests' guests have some 100 KiB."""

_MAGIC = b"\x7fELF"
_RELOCATED = 3
"""ET_DYN: position-independent, its addresses are offsets."""
_SYMBOLS = 2
"""SHT_SYMTAB."""
_EXECUTABLE = 0x2 | 0x4
"""SHF_ALLOC and SHF_EXECINSTR."""
_CODE_TYPES = (0, 2)
"""STT_NOTYPE, which assembly has, and STT_FUNC."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name for code."""

    address: int
    size: int
    """0 where it is not known, as of labels in assembly."""
    name: str


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
    except (OSError, ValueError, struct.error, IndexError):
        return None


@dataclass(frozen=True, slots=True)
class _Section:
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


def _read(file: BinaryIO) -> ElfFile | None:
    identification = file.read(16)
    if identification[:4] != _MAGIC:
        return None
    wide = identification[4] == 2
    order = ">" if identification[5] == 2 else "<"
    kind, *header = struct.unpack(
        order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"), file.read(48 if wide else 36)
    )
    table, entry_size, count = header[4], header[9], header[10]
    layout = struct.Struct(order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII"))
    raw = _read_at(file, table, entry_size * count)
    sections = []
    for index in range(count):
        fields = layout.unpack_from(raw, index * entry_size)
        sections.append(_Section(*fields[:7]))
    code = tuple(
        (section.address, section.address + section.size)
        for section in sections
        if section.flags & _EXECUTABLE == _EXECUTABLE and section.size
    )
    symbols: list[Symbol] = []
    for section in sections:
        if section.kind == _SYMBOLS:
            names = sections[section.link]
            raw = _read_at(file, section.offset, section.size)
            strings = _read_at(file, names.offset, names.size)
            symbols += _symbols(raw, strings, order, code, wide=wide)
    symbols.sort(key=lambda symbol: (symbol.address, symbol.size))
    return ElfFile(kind == _RELOCATED, code, tuple(symbols))


def _symbols(
    raw: bytes, strings: bytes, order: str, code: tuple[tuple[int, int], ...], *, wide: bool
) -> Iterator[Symbol]:
    layout = struct.Struct(order + ("IBBHQQ" if wide else "IIIBBH"))
    for fields in layout.iter_unpack(raw[: len(raw) - len(raw) % layout.size]):
        if wide:
            offset, information, _, _, address, size = fields
        else:
            offset, address, size, information, _, _ = fields
        if information & 0xF not in _CODE_TYPES or not any(a <= address < b for a, b in code):
            continue
        end = strings.find(b"\0", offset)
        name = strings[offset : end if end >= 0 else None].decode(errors="replace")
        # "$x", "$d" and the like only tell code from data (Arm's and RISC-V's ELF supplements).
        if name and not name.startswith(("$", ".L")):
            yield Symbol(address, size, name)


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    if size > LARGEST_TABLE:
        raise ValueError(size)
    file.seek(offset)
    return file.read(size)
