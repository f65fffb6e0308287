"""Addresses that guests print, and those at which they hang, as addresses in their ELF files."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.model import Architecture, Build
from matrix.verdict.elf import ElfFile, Symbol
from matrix.verdict.symbols import (
    Frame,
    GuestSymbols,
    code_addresses,
    guest_symbols,
    image_address,
    parse_addr2line,
    stack_addresses,
)

MakeElf = Callable[..., Path]


@pytest.fixture
def make_elf(tmp_path: Path) -> MakeElf:
    """Writes a 64-bit little-endian file with code from ``text`` on, and a function in it."""

    def make(name: str, text: int, *, relocated: bool = True) -> Path:
        strings = b"\0main\0"
        symbols = struct.pack("<24xIBBHQQ", 1, 2, 0, 1, text + 0x10, 0x20)
        body = strings + symbols
        sections = struct.pack("<64x")
        for kind, flags, address, offset, size, link in (
            (8, 6, text, 0, 0x100, 0),  # NOBITS, as in .debug files
            (2, 0, 0, 64 + len(strings), len(symbols), 3),
            (3, 0, 0, 64, len(strings), 0),
        ):
            sections += struct.pack(
                "<IIQQQQIIQQ", 0, kind, flags, address, offset, size, link, 0, 0, 24
            )
        kind = 3 if relocated else 2
        header = struct.pack(
            "<16sHHIQQQIHHHHHH",
            *(b"\x7fELF\x02\x01\x01", kind, 62, 1, text, 0, 64 + len(body)),
            *(0, 64, 0, 0, 64, 4, 3),
        )
        path = tmp_path / name
        path.write_bytes(header + body + sections)
        return path

    return make


def symbols_of(
    architecture: Architecture, image: Path, *, efi: bool = False, loaded_at: int | None = None
) -> GuestSymbols:
    build = Build(architecture, "/build", str(image.parent), efi=efi)
    found = guest_symbols(build, str(image), loaded_at)
    assert found is not None
    return found


class TestStackAddresses:
    def test_return_addresses_are_looked_up_before_them(self) -> None:
        notes = ("Unhandled exception 6", "STACK: @aaaaaaaaaaaaaaaa 4001ad", "\tSTACK: 401fb1 0")
        assert stack_addresses(notes) == ((0xAAAAAAAAAAAAAAAA, 0x4001AC), (0x401FB0, 0))

    def test_what_is_no_trace(self) -> None:
        assert stack_addresses(("STACK:", "STACK: xyz", "a STACK: 1", "STACK: " + "f" * 40)) == ()


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("vCPU 0 running at pc 0x400851d0, vCPUs 1-3 at pc 0x10", (0x400851D0, 0x10)),
        ("vCPU 0 at pc 0x10, vCPU 1 halted at pc 0x10", (0x10,)),
        ("Unhandled exception 6 #UD(0) at ip 0000000000400893", (0x400893,)),
        ("Unhandled CPU0 exception 0x380 at NIA:0x0000000000400218 MSR:0x1", (0x400218,)),
        ("Unexpected program interrupt (null): 0x6 on cpu 0 at 0x10abc, ilen 4", (0x10ABC,)),
        ("at pc 0x4008…", ()),
        ("exit code 0x10, a pc of 5, at ip abc", ()),
    ],
)
def test_addresses_of_code(text: str, addresses: tuple[int, ...]) -> None:
    assert code_addresses(text) == addresses


def test_where_an_efi_image_was_loaded() -> None:
    console = b"\x1b[2JBdsDxe\r\nAddress of image is: 0x4c330000\r\nPASS: a\n"
    assert image_address(console) == 0x4C330000
    assert image_address(b"BdsDxe: failed\n") is None


class TestGuests:
    def test_at_the_address_of_the_file(self, make_elf: MakeElf) -> None:
        image = make_elf("apic.elf", 0x400000, relocated=False).with_name("apic.flat")
        found = symbols_of(Architecture.X86_64, image)
        assert found.from_stack(0x400012) == 0x400012
        assert found.from_counter(0x400012) == 0x400012
        assert found.from_counter(0x500000) is None
        assert found.name(0x400012) == "main+0x2"

    @pytest.mark.parametrize(
        ("architecture", "base"),
        [(Architecture.AARCH64, 0x40080000), (Architecture.RISCV64, 0x80200000)],
    )
    def test_moved_and_printed_as_offsets(
        self, make_elf: MakeElf, architecture: Architecture, base: int
    ) -> None:
        image = make_elf("gic.elf", 0).with_name("gic.flat")
        found = symbols_of(architecture, image)
        assert found.from_stack(0x12) == 0x12
        assert found.from_counter(base + 0x12) == 0x12
        assert found.from_counter(0x12) is None

    def test_moved_and_printed_as_they_are(self, make_elf: MakeElf) -> None:
        found = symbols_of(Architecture.PPC64, make_elf("atomics.elf", 0))
        assert found.from_stack(0x400012) == found.from_counter(0x400012) == 0x12

    def test_efi_applications_count_from_their_text(self, make_elf: MakeElf) -> None:
        image = make_elf("apic.efi.debug", 0x4000).with_name("apic.efi")
        found = symbols_of(Architecture.X86_64, image, efi=True, loaded_at=0xD70E000)
        assert found.from_stack(0x12) == 0x4012
        assert found.from_counter(0xD70E012) == 0x4012

    def test_an_efi_application_that_never_said_where_it_is(self, make_elf: MakeElf) -> None:
        image = make_elf("gic.efi.debug", 0).with_name("gic.efi")
        found = symbols_of(Architecture.AARCH64, image, efi=True)
        assert found.from_counter(0x12) is None

    def test_protected_guests_have_the_symbols_of_others(self, make_elf: MakeElf) -> None:
        path = make_elf("selftest.elf", 0x10000, relocated=False)
        found = symbols_of(Architecture.S390X, path.with_name("selftest.pv.bin"))
        assert found.path == path

    def test_an_image_that_is_its_own_elf_file(self, make_elf: MakeElf) -> None:
        image = make_elf("guest", 0x10000, relocated=False)
        assert symbols_of(Architecture.X86_64, image).path == image

    def test_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.flat").write_bytes(b"flat")
        build = Build(Architecture.ARM, "/build", str(tmp_path))
        assert guest_symbols(build, str(tmp_path / "a.flat"), None) is None


def test_names_in_words() -> None:
    elf = ElfFile(
        relocated=True, code=((0, 0x100),), symbols=(Symbol(0x10, 0x20, "its_migration"),)
    )
    guest = GuestSymbols(Path("gic.elf"), elf, loaded_by=0x40080000, printed_less=0)
    text = "vCPU 0 running at pc 0x4008002c, vCPU 1 halted at pc 0x40080001, vCPU 2 at pc 0x10"
    assert guest.annotated(text) == (
        "vCPU 0 running at pc 0x4008002c (its_migration+0x1c),"
        " vCPU 1 halted at pc 0x40080001, vCPU 2 at pc 0x10"
    )


def test_what_addr2line_says() -> None:
    """Binutils' and LLVM's, which differ in leading zeros and in how they name no line."""
    output = """\
0x0000000000400f7e
test_ioapic_logical
/src/x86/ioapic.c:510 (discriminator 3)
main
/src/x86/ioapic.c:553
0xaaaaaaaaaaaaaaaa
??
??:0
0x404318
__handle_exception
desc.c:?
0x404319
label
??:0
"""
    assert parse_addr2line(output) == {
        0x400F7E: (
            Frame("test_ioapic_logical", "/src/x86/ioapic.c:510"),
            Frame("main", "/src/x86/ioapic.c:553"),
        ),
        0x404318: (Frame("__handle_exception", "desc.c"),),
        0x404319: (Frame("label", ""),),
    }


@pytest.mark.parametrize("output", ["", "nonsense\n", "0x1\n", "0x1\nmain\n", "main\n0x1\n"])
def test_what_addr2line_should_not_say(output: str) -> None:
    assert parse_addr2line(output) == {}
