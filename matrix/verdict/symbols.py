"""Where in a guest's code an address is: what it prints of its stack, and what its vCPUs stand at.

Guests are loaded elsewhere than their ELF file says, and print addresses as they are or as offsets;
this works out the addresses of the file, which addr2line and the symbol table know.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from matrix.model import Architecture, Build
from matrix.verdict.elf import ElfFile, read_elf

LOADED_AT = {
    Architecture.AARCH64: 0x4008_0000,
    Architecture.RISCV64: 0x8020_0000,
    Architecture.RISCV32: 0x8040_0000,
    Architecture.PPC64: 0x40_0000,
}
"""Where QEMU's machines load position-independent images: start of memory and text offset (virt,
hw/arm/boot.c), behind the SBI firmware (virt, hw/riscv/boot.c), KERNEL_LOAD_ADDR (pseries)."""

PRINTED_AS_OFFSETS = (Architecture.AARCH64, Architecture.RISCV64, Architecture.RISCV32)
"""Guests of these are built with CONFIG_RELOC, as all EFI applications are: their addresses are
printed less that of their code's start (kvm-unit-tests' lib/stack.c)."""

_STACK = re.compile(r"\s*STACK:((?: @?[0-9a-fA-F]{1,16})+)\s*")
_IMAGE_ADDRESS = re.compile(rb"Address of image is: 0x([0-9a-fA-F]{1,16})")
_CODE_ADDRESS = re.compile(
    r"\bpc 0x([0-9a-f]{1,16})(?![0-9a-f…])"  # ours, of a guest that hangs
    r"|\bat ip ([0-9a-f]{8,16})\b"  # x86's unhandled exceptions
    r"|\bNIA:0x([0-9a-f]{16})\b"  # powerpc's
    r"|\bon cpu \d+ at (0x[0-9a-f]{1,16})\b"  # s390x's unexpected interrupts
)
_ADDRESS_LINE = re.compile(r"0x([0-9a-f]{1,16})")


def stack_addresses(notes: Iterable[str]) -> tuple[tuple[int, ...], ...]:
    """The call chains in a transcript's notes, innermost first, as addresses to look up.

    kvm-unit-tests prints ``STACK: @addr addr …`` (lib/stack.c): an address behind ``@`` is that of
    the instruction itself; others are return addresses, and the call is before them.
    """
    chains: list[tuple[int, ...]] = []
    for note in notes:
        match = _STACK.fullmatch(note)
        if match is not None:
            chains.append(tuple(_call_address(word) for word in match[1].split()))
    return tuple(chains)


def code_addresses(text: str) -> tuple[int, ...]:
    """The addresses of code in what we or guests say of vCPUs (``pc 0x400851d0``), each once."""
    return tuple(dict.fromkeys(_address(match) for match in _CODE_ADDRESS.finditer(text)))


def image_address(console: bytes) -> int | None:
    """Where a guest of an EFI build says that its code was loaded; None where it did not come
    to that."""
    found = _IMAGE_ADDRESS.findall(console)
    return int(found[-1], 16) if found else None


@dataclass(frozen=True, slots=True)
class GuestSymbols:
    """The ELF file of a guest, and how its addresses relate to the running guest's."""

    path: Path
    elf: ElfFile
    loaded_by: int | None
    """What to take from a program counter to get an address of the file; None for unknown."""
    printed_less: int
    """What to add to a printed address to get an address of the file."""

    def from_stack(self, printed: int) -> int:
        """The address in the file of one in a stack trace."""
        return printed + self.printed_less

    def from_counter(self, counter: int) -> int | None:
        """The address in the file of a program counter; None where it is not in its code."""
        if self.loaded_by is None:
            return None
        address = counter - self.loaded_by
        return address if any(start <= address < end for start, end in self.elf.code) else None

    def name(self, address: int) -> str:
        """``main+0x30`` for an address of the file, or empty."""
        symbol = self.elf.symbol(address)
        return f"{symbol.name}+0x{address - symbol.address:x}" if symbol is not None else ""

    def annotated(self, text: str) -> str:
        """``text`` with the name of the code behind each address that is in the guest's."""

        def name(match: re.Match[str]) -> str:
            address = self.from_counter(_address(match))
            found = self.name(address) if address is not None else ""
            return f"{match[0]} ({found})" if found else match[0]

        return _CODE_ADDRESS.sub(name, text)


def guest_symbols(build: Build, image: str, image_loaded_at: int | None) -> GuestSymbols | None:
    """The symbols of a guest; None where the build has no ELF file of it.

    Args:
        build: of the guest.
        image: path of what is started.
        image_loaded_at: of EFI builds, what :func:`image_address` says.
    """
    path = Path(image)
    for candidate in _elf_candidates(path):
        elf = read_elf(candidate)
        if elf is not None and elf.text is not None:
            break
    else:
        return None
    start = elf.text
    if build.efi:
        loaded_by = None if image_loaded_at is None else image_loaded_at - start
        return GuestSymbols(candidate, elf, loaded_by, printed_less=start)
    if not elf.relocated:
        return GuestSymbols(candidate, elf, loaded_by=0, printed_less=0)
    moved = LOADED_AT.get(build.architecture, 0)
    offsets = build.architecture in PRINTED_AS_OFFSETS
    return GuestSymbols(candidate, elf, moved, printed_less=start if offsets else -moved)


def _elf_candidates(image: Path) -> tuple[Path, ...]:
    """Where the symbols of an image are: beside it, or in itself."""
    name = image.name.removesuffix(".pv.bin")
    stem = name.removesuffix(".flat").removesuffix(".elf")
    return (image.with_name(f"{stem}.elf"), image.with_name(f"{image.name}.debug"), image)


@dataclass(frozen=True, slots=True)
class Frame:
    """One function that an address is in; an inlined one is followed by the one it is in."""

    function: str
    place: str
    """``FILE:LINE``, empty where it is not known."""


def parse_addr2line(output: str) -> dict[int, tuple[Frame, ...]]:
    """What ``addr2line -a -f -i`` says, by address; those of which it knows nothing are left out.

    For each address a line with it, then pairs of lines: a function and ``FILE:LINE``, from the
    innermost inlined one outwards; ``??`` where it does not know.
    """
    found: dict[int, tuple[Frame, ...]] = {}
    address: int | None = None
    function = ""
    for line in output.splitlines():
        match = _ADDRESS_LINE.fullmatch(line.strip())
        if match is not None:
            address, function = int(match[1], 16), ""
        elif address is None:
            continue
        elif not function:
            function = line.strip()
        else:
            place = "" if line.startswith("??") else re.sub(r" \(discriminator \d+\)", "", line)
            if function != "??":
                found[address] = (*found.get(address, ()), Frame(function, _known_line(place)))
            function = ""
    return found


def _known_line(place: str) -> str:
    """``FILE:?`` and ``FILE:0`` name no line."""
    file, _, line = place.strip().rpartition(":")
    return place.strip() if line not in ("?", "0") else file


def _address(match: re.Match[str]) -> int:
    return int(match[match.lastindex or 0], 16)


def _call_address(word: str) -> int:
    if word.startswith("@"):
        return int(word[1:], 16)
    return max(int(word, 16) - 1, 0)
