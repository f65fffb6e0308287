"""Functions of guests in the reasons of their failures."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import matrix.guests
from matrix.model import Accelerator, Architecture, Build, Case, Test, Variant
from matrix.verdict import symbolization
from matrix.verdict.elf import Symbol, read_elf
from matrix.verdict.symbolization import symbolized

GUEST = Path(matrix.guests.__file__).parent / "images/x86_64/x86/guest.elf"


@pytest.fixture
def main() -> Symbol:
    elf = read_elf(GUEST)
    assert elf is not None
    return next(symbol for symbol in elf.symbols if symbol.name == "guest_main")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    shutil.copy(GUEST, tmp_path / "guest.elf")
    arch = Architecture.X86_64
    build = Build(arch, str(tmp_path), str(tmp_path), addr2line=str(tmp_path / "addr2line"))
    test = Test("boot", str(tmp_path / "guest.flat"))
    return Case("s.boot", "s", "suite", test, Variant(arch, Accelerator.TCG), build)


@pytest.fixture(autouse=True)
def _no_other_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


def addr2line(case: Case, *lines: str) -> None:
    """Make the build's addr2line, which says this and keeps its arguments."""
    path = Path(case.build.addr2line)
    said = "\n".join(lines)
    path.write_text(f'#!/bin/sh\necho "$@" > {path}.words\n/bin/cat <<END\n{said}\nEND\n')
    path.chmod(0o755)


def locate(case: Case, reason: str, *said: str) -> tuple[str, str]:
    """The new reason, and the text of stack.txt."""
    directory = Path(case.build.directory) / "case"
    directory.mkdir()
    found = asyncio.run(symbolized(reason, case, directory, said))
    path = directory / "diagnosis/stack.txt"
    return found, path.read_text() if path.exists() else ""


def test_nothing_to_say(case: Case) -> None:
    addr2line(case, "0x1", "main", "a.c:1")
    assert locate(case, "1 of 2 subtests failed", "Unhandled exception 6") == (
        "1 of 2 subtests failed",
        "",
    )
    assert not Path(f"{case.build.addr2line}.words").exists()


def test_a_stack_trace(case: Case, main: Symbol) -> None:
    at, caller = main.address + 4, main.address + 0x10
    addr2line(
        case,
        *(f"0x{at:016x}", "report_abort", "/src/lib/report.c:10", "helper", "/src/x86/boot.c:20"),
        *(f"0x{caller - 1:016x}", "guest_main", "/src/x86/boot.c:30 (discriminator 2)"),
    )
    reason, text = locate(case, "the guest aborted", f"\tSTACK: @{at:x} {caller:x}")
    assert reason == "the guest aborted; in helper at x86/boot.c:20"
    assert text.splitlines() == [
        f"Code of {case.build.directory}/guest.elf",
        "",
        "Stack trace 1",
        f"  0x{at:<8x}  report_abort  /src/lib/report.c:10",
        "            inlined into helper  /src/x86/boot.c:20",
        f"  0x{caller - 1:<8x}  guest_main  /src/x86/boot.c:30",
    ]
    words = Path(f"{case.build.addr2line}.words").read_text().split()
    assert words[:3] == ["-a", "-f", "-i"]
    assert words[-2:] == [f"0x{at:x}", f"0x{caller - 1:x}"]


def test_a_jump_to_nowhere_names_the_caller(case: Case, main: Symbol) -> None:
    reason, text = locate(case, "dead", f"STACK: @aaaaaaaaaaaaaaaa {main.address + 5:x}")
    assert reason == "dead; called from guest_main+0x4"
    assert "  0xaaaaaaaaaaaaaaaa  ?\n" in text


def test_the_start_of_all_guests_says_nothing(case: Case, main: Symbol) -> None:
    addr2line(case, f"0x{main.address:x}", "start", "/src/x86/cstart64.S:127")
    assert locate(case, "dead", f"STACK: {main.address + 1:x}")[0] == "dead"


def test_where_a_guest_hangs(case: Case, main: Symbol) -> None:
    doing = f"vCPU 0 running at pc 0x{main.address + 8:x}, vCPU 1 halted at pc 0xfff0"
    reason, text = locate(case, f"timed out; {doing}", doing)
    assert reason == (
        f"timed out; vCPU 0 running at pc 0x{main.address + 8:x} (guest_main+0x8),"
        " vCPU 1 halted at pc 0xfff0"
    )
    assert text.splitlines()[2:] == [
        "Program counters",
        f"  0x{main.address + 8:<8x}  guest_main+0x8",
    ]


def test_a_vcpu_outside_of_the_guest(case: Case) -> None:
    assert locate(case, "vCPU 0 at pc 0xfff0") == ("vCPU 0 at pc 0xfff0", "")


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "/bin/sleep 60", None])
def test_names_do_for_want_of_a_tool(
    case: Case, main: Symbol, script: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symbolization, "TOOL_SECONDS", 0.3)
    path = Path(case.build.addr2line)
    path.write_text("#!/nonexistent/shell\n" if script is None else f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    assert locate(case, "dead", f"STACK: @{main.address:x}")[0] == "dead; in guest_main+0x0"


def test_the_next_tool_is_tried(
    case: Case, main: Symbol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addr2line(case, "addr2line: file format not recognized")
    other = tmp_path / "bin/llvm-addr2line"
    other.parent.mkdir()
    other.write_text(f"#!/bin/sh\nprintf '0x{main.address:x}\\nboot\\n/src/x86/boot.c:7\\n'\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    reason, _ = locate(case, "dead", f"STACK: @{main.address:x}")
    assert reason == "dead; in boot at x86/boot.c:7"


def test_without_an_elf_file_there_are_only_addresses(case: Case) -> None:
    (Path(case.build.directory) / "guest.elf").unlink()
    assert locate(case, "dead, pc 0x401000", "STACK: 401000") == ("dead, pc 0x401000", "")


def test_a_wild_guest_is_not_followed_for_ever(case: Case, main: Symbol) -> None:
    traces = [f"STACK: {main.address + number:x}" for number in range(1, 100)]
    _, text = locate(case, "dead", *traces)
    assert text.count("Stack trace") == symbolization.CHAINS_RESOLVED


def test_an_efi_guest_is_found_where_it_says(case: Case, main: Symbol) -> None:
    elf = read_elf(GUEST)
    assert elf is not None
    assert elf.text is not None
    root = Path(case.build.directory)
    (root / "guest.elf").rename(root / "guest.efi.debug")
    build, test = replace(case.build, efi=True), replace(case.test, image=str(root / "guest.efi"))
    efi_case = replace(case, build=build, test=test)
    (root / "case").mkdir()
    (root / "case/console.log").write_bytes(b"\x1b[2JAddress of image is: 0xd70e000\r\n")
    counter = 0xD70E000 + main.address - elf.text + 8
    reason = asyncio.run(symbolized(f"at ip {counter:016x}", efi_case, root / "case", ()))
    assert reason == f"at ip {counter:016x} (guest_main+0x8)"
