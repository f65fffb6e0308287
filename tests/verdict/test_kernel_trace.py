"""Where in its source a kernel reports a fault."""

import asyncio
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from matrix.model import Architecture
from matrix.verdict import kernel_trace
from matrix.verdict.elf import find_functions
from matrix.verdict.kernel_trace import DebugFiles, debug_files, symbolized_trace

BASE = 0xFFFFFFFF81000000
EXECUTABLE, RELOCATABLE, TEXT = 2, 1, 1


def elf(path: Path, kind: int, functions: list[tuple[str, int, int]]) -> Path:
    """An ELF file with those functions (name, address, size) and no debug information."""
    names = b"\0.text\0.symtab\0.strtab\0"
    strings, symbols = b"\0", struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0)
    for name, address, size in functions:
        symbols += struct.pack("<IBBHQQ", len(strings), 2, 0, TEXT, address, size)
        strings += name.encode() + b"\0"
    sections, content = [bytes(64)], b""

    def section(name: str, what: int, flags: int, data: bytes, *, link: int, entry: int) -> None:
        nonlocal content
        address = BASE if what == 1 and kind == EXECUTABLE else 0
        where = names.index(name.encode()), what, flags, address, 64 + len(content), len(data)
        sections.append(struct.pack("<IIQQQQIIQQ", *where, link, 1, 8, entry))
        content += data + bytes(-len(data) % 8)

    section(".text", 1, 6, bytes(4096), link=0, entry=0)
    section(".symtab", 2, 0, symbols, link=3, entry=24)
    section(".strtab", 3, 0, strings, link=0, entry=0)
    section(".strtab", 3, 0, names, link=0, entry=0)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    numbers = (kind, 62, 1, BASE, 0, 64 + len(content), 0, 64, 0, 0, 64, len(sections), 4)
    path.write_bytes(ident + struct.pack("<HHIQQQIHHHHHH", *numbers) + content + b"".join(sections))
    return path


@pytest.fixture
def vmlinux(tmp_path: Path) -> Path:
    functions = [
        ("kvm_run", BASE + 0x100, 0x40),
        ("same", BASE + 0x200, 0x20),
        ("same", BASE + 0x300, 0x30),
        ("dump_stack", BASE + 0x400, 0x10),
        ("my_kvm_run", BASE + 0x500, 0x40),
    ]
    return elf(tmp_path / "vmlinux", EXECUTABLE, functions)


@pytest.fixture(autouse=True)
def _only_this_addr2line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says of every address its function f_ADDRESS, at file.c:7; keeps its arguments."""
    tool = tmp_path / "bin" / "x86_64-linux-gnu-addr2line"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/words\nfor a; do case $a in 0x*)\n'
        "  echo $a; echo f_${a#0x}; echo /src/arch/x86/kvm/file.c:7;;\nesac; done\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))


def locate(tmp_path: Path, files: DebugFiles, *trace: str) -> tuple[str, str]:
    """What is said of a trace, and the file with all of it."""
    place = asyncio.run(symbolized_trace(trace, files, Architecture.X86_64, tmp_path))
    path = tmp_path / "diagnosis/kernel-trace.txt"
    return place, path.read_text() if path.exists() else ""


def test_where_an_instruction_was(tmp_path: Path, vmlinux: Path) -> None:
    place, text = locate(
        tmp_path,
        DebugFiles(vmlinux),
        "WARNING: CPU: 0 PID: 61 at arch/x86/kvm/x86.c:99 kvm_run+0x10/0x40",
        "RIP: 0010:kvm_run+0x10/0x40",
        " ? kvm_run+0x20/0x40",
        " my_kvm_run+0x8/0x40",
    )
    assert place == f"in f_{BASE + 0x110:x} at kvm/file.c:7"
    assert f"my_kvm_run+0x8/0x40\n        -> f_{BASE + 0x507:x}  /src/arch" in text  # its call
    words = (tmp_path / "words").read_text().split()
    assert words[-3:] == [hex(BASE + at) for at in (0x110, 0x11F, 0x507)]


def test_what_tells_of_a_fault_is_not_where_it_is(tmp_path: Path, vmlinux: Path) -> None:
    trace = ("Kernel panic - not syncing: x", " dump_stack+0x4/0x10", " kvm_run+0x20/0x40")
    kernel_names = tmp_path / "bin/x86_64-linux-gnu-addr2line"
    kernel_names.write_text(
        "#!/bin/sh\nfor a; do case $a in *403) echo $a; echo dump_stack; echo /a.c:1;;\n"
        "  *11f) echo $a; echo kvm_run; echo '??:0';; esac; done\n"
    )
    assert locate(tmp_path, DebugFiles(vmlinux), *trace)[0] == "in kvm_run"


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("RIP: 0010:same+0x4/0x30", 0x304),  # its size tells which of two
        ("RIP: 0010:same+0x4/0x20", 0x204),
        ("RIP: 0010:kvm_run+0x4/0x900", None),  # another build's
        ("RIP: 0010:run+0x4/0x40", None),  # the end of another name
        ("pc : kvm_run+0x4/0x40", 0x104),
        (" kvm_run+0x40/0x40", 0x13F),  # what does not return may be called at a function's end
        ("BUG: KASAN: slab-use-after-free in kvm_run+0x4/0x40", 0x104),
        (" [<ffffffff8100010c>] kvm_run+0x0/0x40", 0x100),
    ],
)
def test_which_function_it_is(
    tmp_path: Path, vmlinux: Path, line: str, address: int | None
) -> None:
    place = locate(tmp_path, DebugFiles(vmlinux), line)[0]
    assert place.partition(" at ")[0] == ("" if address is None else f"in f_{BASE + address:x}")


@pytest.mark.parametrize(
    "trace",
    [
        ("RIP: 0010:0xffffffff9a000110", "Kernel Offset: 0x19000000 from 0xffffffff81000000"),
        (" [<ffffffff9a000110>] kvm_run+0x10/0x40", "pc : 0xffffffff9a000110"),
    ],
)
def test_what_kaslr_has_added_is_taken_off(
    tmp_path: Path, vmlinux: Path, trace: tuple[str, ...]
) -> None:
    assert locate(tmp_path, DebugFiles(vmlinux), *trace)[0].startswith(f"in f_{BASE + 0x110:x} ")


def test_an_address_alone_says_nothing(tmp_path: Path, vmlinux: Path) -> None:
    found = locate(tmp_path, DebugFiles(vmlinux), "RIP: 0010:0xffffffff9a000110", "Code: 0f 0b")
    assert found == ("", "")


def test_a_module_has_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    elf(tmp_path / "modules/kvm-intel.ko", RELOCATABLE, [("vmx_run", 0x80, 0x20)])
    files = DebugFiles(None, (tmp_path / "modules",))
    line = "RIP: 0010:vmx_run+0x8/0x20 [kvm_intel 0123456789abcdef]"
    assert locate(tmp_path, files, line)[0] == "in f_88 at kvm/file.c:7"
    assert " -j .text -e " in (tmp_path / "words").read_text()
    assert locate(tmp_path, files, "RIP: 0010:f+0x8/0x20 [kvm]")[0] == ""


def test_files_that_are_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    assert locate(tmp_path, DebugFiles(broken), "RIP: 0010:kvm_run+0x4/0x40") == ("", "")


def test_where_the_symbols_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_trace, "DEBUG_ROOT", tmp_path / "debug")
    image = tmp_path / "arch/arm64/boot/Image"
    tree, given = tmp_path / "vmlinux", tmp_path / "given"
    assert debug_files(None, image, None, "6.12").vmlinux is None
    tree.write_bytes(b"\x7fELF")
    assert debug_files(None, image, tmp_path, "6.12") == DebugFiles(tree, (tmp_path,))
    given.write_bytes(b"\x7fELF")
    assert debug_files(given, image, None, "6.12").vmlinux == given
    assert debug_files(None, given, None, "6.12").vmlinux == given
    assert debug_files(None, None, None, "6.12").vmlinux is None
    installed = tmp_path / "debug/boot/vmlinux-6.12-cloud"
    installed.parent.mkdir(parents=True)
    installed.write_bytes(b"\x7fELF")
    modules = tmp_path / "debug/lib/modules/6.12-cloud"
    assert debug_files(None, None, None, "6.12-cloud") == DebugFiles(installed, (modules,))


def test_a_real_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    compiler = shutil.which("gcc")
    if compiler is None or not shutil.which("addr2line"):
        pytest.skip("needs gcc and addr2line")
    source = tmp_path / "kvm.c"
    source.write_text("int f(int a)\n{\n\treturn a + 1;\n}\n\nint g(int a)\n{\n\treturn a;\n}\n")
    built = tmp_path / "kvm.ko"
    subprocess.run([compiler, "-g", "-c", source, "-o", built], check=True)
    size = find_functions(built, ["g"])["g"][0].size
    machine = {"x86_64": Architecture.X86_64, "aarch64": Architecture.AARCH64}
    architecture = machine.get(subprocess.check_output(["uname", "-m"], text=True).strip())
    assert architecture is not None
    line = f"RIP: 0010:g+0x4/{size:#x} [kvm]"
    trace = symbolized_trace([line], DebugFiles(None, (tmp_path,)), architecture, tmp_path)
    assert asyncio.run(trace).startswith("in g at ")
    assert (tmp_path / "diagnosis/kernel-trace.txt").read_text().count("kvm.c:") == 1
