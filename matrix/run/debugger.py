"""gdb for a guest: which one can debug it, and its command line."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from matrix.model import Accelerator, Architecture, Build, Endian
from matrix.verdict.symbols import GuestSymbols, guest_symbols

PROGRAMS = ("gdb-multiarch", "gdb")
"""Debian's gdb knows its host's architecture alone, Fedora's all."""
PROBE_SECONDS = 20.0
FOLLOW = "follow"
"""gdb's command that attaches it to a guest that was migrated, where it is then."""

ARCHITECTURES = {
    Architecture.X86_64: "i386:x86-64",
    Architecture.I386: "i386",
    Architecture.AARCH64: "aarch64",
    Architecture.ARM: "arm",
    Architecture.PPC64: "powerpc:common64",
    Architecture.S390X: "s390:64-bit",
    Architecture.RISCV64: "riscv:rv64",
    Architecture.RISCV32: "riscv:rv32",
    Architecture.MIPS64EL: "mips:isa64r2",
    Architecture.LOONGARCH64: "Loongarch64",
}
"""What gdb calls them. It learns them from QEMU's gdbstub, but for MIPS's."""

FALSE = {
    Architecture.X86_64: "($rdi & 0xff) == 0",
    Architecture.I386: "*(unsigned char *)($esp + 4) == 0",
    Architecture.AARCH64: "($x0 & 0xff) == 0",
    Architecture.ARM: "($r0 & 0xff) == 0",
    Architecture.PPC64: "($r3 & 0xff) == 0",
    Architecture.S390X: "($r2 & 0xff) == 0",
    Architecture.RISCV64: "($a0 & 0xff) == 0",
    Architecture.RISCV32: "($a0 & 0xff) == 0",
    Architecture.MIPS64EL: "($a0 & 0xff) == 0",
    Architecture.LOONGARCH64: "($a0 & 0xff) == 0",
}
"""The first argument of a function is false, at its first instruction."""

FAILING = ("guest_unhandled", "abort", "report", "report_fail", "unhandled_exception")
"""Functions by which guests say that they failed, the embedded ones and kvm-unit-tests'
(lib/abort.c, lib/report.c, lib/x86/desc.c), the most telling first."""
REPORT = "report"
"""It says that something passed, too: by its first argument."""

IN_HARDWARE = {
    Architecture.X86_64: 4,
    Architecture.I386: 4,
    Architecture.AARCH64: 2,
    Architecture.ARM: 2,
    Architecture.S390X: 4,
}
"""Breakpoints that every CPU has under KVM; of the others KVM has none. Those of software would be
written into memory before the guest's image is."""


def find_debugger(architecture: Architecture) -> str:
    """The path of a gdb that knows the architecture; empty where there is none."""
    for name in PROGRAMS:
        program = shutil.which(name)
        if program is None:
            continue
        words = [program, "-nx", "-batch", "-ex", f"set architecture {ARCHITECTURES[architecture]}"]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue  # it is no debugger that works
        if not done.returncode:
            return program
    return ""


def debugger_command(
    program: str,
    socket: Path,
    build: Build,
    image: str,
    accelerator: Accelerator,
    *,
    follows: bool = False,
) -> list[str]:
    """The command line that attaches gdb to a guest that has not run yet.

    Args:
        program: the gdb.
        socket: of QEMU's gdbstub.
        build: the guest's.
        image: path of what is started; its ELF file is looked for beside it.
        accelerator: what runs the guest.
        follows: it is migrated, and gdb has a command for that (:data:`FOLLOW`).
    """
    commands, symbols = _guest(build, image)
    if follows:
        commands.append(f"alias {FOLLOW} = target remote {socket}")
    commands.append(f"target remote {socket}")
    places = [] if symbols is None else _breakpoints(symbols, build.architecture)
    if accelerator is Accelerator.KVM:
        places = places[: IN_HARDWARE.get(build.architecture, 0)]
    word = "hbreak" if accelerator is Accelerator.KVM else "break"
    return _command(program, [*commands, *(f"{word} {each}" for each in places)])


def memory_command(program: str, memory: Path, build: Build, image: str) -> list[str]:
    """The command line with which gdb opens the memory of a guest that was kept."""
    commands, _ = _guest(build, image)
    return _command(program, [*commands, f"core-file {_quoted(memory)}"])


def is_big_endian(build: Build) -> bool:
    """The byte order of a build's guests."""
    return build.architecture is Architecture.S390X or build.endian is Endian.BIG


def _command(program: str, commands: Sequence[str]) -> list[str]:
    return [program, "-q", *(word for command in commands for word in ("-ex", command))]


def _guest(build: Build, image: str) -> tuple[list[str], GuestSymbols | None]:
    """What gdb is told of a guest before it is attached, and its symbols where they are known."""
    commands = [
        "set remotetimeout 60",  # seconds; 2 are few on a busy host
        f"set architecture {ARCHITECTURES[build.architecture]}",
        # QEMU's gdbstub does not tell it, and ELF files of relocated guests come too late.
        f"set endian {'big' if is_big_endian(build) else 'little'}",
    ]
    symbols = guest_symbols(build, image, None)
    if symbols is None or symbols.loaded_by is None:
        return commands, None
    read = f"symbol-file -o {symbols.loaded_by:#x}" if symbols.loaded_by else "file"
    return [*commands, f"{read} {_quoted(symbols.path)}"], symbols


def _breakpoints(symbols: GuestSymbols, architecture: Architecture) -> list[str]:
    """Where the guest says that it failed, as gdb's ``break`` takes it."""
    known = {symbol.name: symbol for symbol in symbols.elf.symbols if symbol.name in FAILING}
    return [
        f"*{name}"
        + (f"+{known[name].skipped}" if known[name].skipped else "")
        + (f" if {FALSE[architecture]}" if name == REPORT else "")
        for name in FAILING
        if name in known
    ]


def _quoted(path: Path) -> str:
    """A path as gdb's commands take words (gdb_buildargv): quoted where it has to be."""
    text = str(path)
    if not any(each in text for each in " \t\\'\""):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
