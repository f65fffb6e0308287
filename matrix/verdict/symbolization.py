"""Backtrace symbolization: in which function a guest failed or hangs."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from matrix.errors import HostError
from matrix.model import Architecture, Build, Case
from matrix.verdict.symbols import (
    Frame,
    GuestSymbols,
    code_addresses,
    guest_symbols,
    image_address,
    parse_addr2line,
    stack_addresses,
)
from matrix.vm.tool import run_tool

TOOL_SECONDS = 10.0
"""For one addr2line: 0.05 are usual."""
CHAINS_RESOLVED = 16
"""Stack traces of a guest that are looked up: one that goes wild prints hundreds."""
STACK_FILE = "stack.txt"

TOOLCHAINS: dict[Architecture, tuple[str, ...]] = {
    Architecture.X86_64: ("x86_64-linux-gnu-",),
    Architecture.I386: ("i686-linux-gnu-", "x86_64-linux-gnu-"),
    Architecture.AARCH64: ("aarch64-linux-gnu-",),
    Architecture.ARM: ("arm-linux-gnueabihf-", "arm-linux-gnu-", "arm-none-eabi-"),
    Architecture.PPC64: ("powerpc64le-linux-gnu-", "powerpc64-linux-gnu-"),
    Architecture.S390X: ("s390x-linux-gnu-",),
    Architecture.RISCV64: ("riscv64-linux-gnu-",),
    Architecture.RISCV32: ("riscv64-linux-gnu-",),
    Architecture.MIPS64EL: ("mips64el-linux-gnuabi64-", "mips64-linux-gnu-"),
    Architecture.LOONGARCH64: ("loongarch64-linux-gnu-",),
}
"""Prefixes of the programs of cross toolchains, as Debian and Fedora name them."""

Place = tuple[int, int]
"""An address as the guest showed it, and the same in its ELF file."""

Frames = dict[int, tuple[Frame, ...]]
"""What is known of addresses in the file, the innermost function first."""

UNKNOWN = Frame("?", "")

REPORTING = frozenset(
    {"abort", "report_abort", "dump_stack", "backtrace", "backtrace_frame", "arch_backtrace_frame"}
)
"""Functions that tell of a failure elsewhere, or fail in telling of it."""


async def symbolized(reason: str, case: Case, directory: Path, said: Sequence[str]) -> str:
    """``reason`` with the guest's functions in it, where addresses tell of them.

    Behind each address of code in it comes its name (``pc 0x400851d0 (its_migration+0x30)``), and
    at its end where the guest's first stack trace begins. All that is known goes to the attempt's
    ``diagnosis/stack.txt``.

    Args:
        reason: why the case did not pass.
        case: whose build may have an ELF file beside its image; without one nothing is done.
        directory: of the attempt, with its console.log.
        said: what may have addresses in it: the notes of the guest's transcript, and what it did
            when it hung.

    Raises:
        HostError: the file cannot be written.
    """
    chains = stack_addresses(said)[:CHAINS_RESOLVED]
    counters = code_addresses("\n".join((*said, reason)))
    if not chains and not counters:
        return reason
    base = image_address(_console(directory)) if case.build.efi else None
    symbols = guest_symbols(case.build, case.test.image, base)
    if symbols is None:
        return reason
    stacks = [[(shown, symbols.from_stack(shown)) for shown in chain] for chain in chains]
    stood = [(shown, a) for shown in counters if (a := symbols.from_counter(shown)) is not None]
    if not stacks and not stood:
        return reason
    wanted = dict.fromkeys(address for stack in (*stacks, stood) for _, address in stack)
    frames = await _look_up(case.build, symbols, tuple(wanted))
    blocks = [(f"Stack trace {number}", stack) for number, stack in enumerate(stacks, 1)]
    lines = [f"Code of {symbols.path}"]
    for title, stack in (("Program counters", stood), *blocks):
        if stack:
            lines += ["", title, *_table(stack, frames)]
    _write(directory, "\n".join((*lines, "")))
    return "; ".join(filter(None, (symbols.annotated(reason), _top(stacks, frames))))


def _write(directory: Path, text: str) -> None:
    path = directory / "diagnosis" / STACK_FILE
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}") from error


def _console(directory: Path) -> bytes:
    """The guest's output, which is bounded."""
    try:
        return (directory / "console.log").read_bytes()
    except OSError:
        return b""


async def _look_up(build: Build, symbols: GuestSymbols, addresses: Sequence[int]) -> Frames:
    """Ask the first addr2line that knows anything; the symbol table for what none knows."""
    named = {address: symbols.name(address) for address in addresses}
    frames: Frames = {address: (Frame(name, ""),) for address, name in named.items() if name}
    programs = addr2lines(build.architecture, build.addr2line)
    return frames | await ask_addr2line(programs, symbols.path, addresses, TOOL_SECONDS)


async def ask_addr2line(
    programs: Iterable[str],
    path: Path,
    addresses: Iterable[int],
    seconds: float,
    section: str = "",
) -> Frames:
    """What the first of ``programs`` that knows anything says of addresses of an ELF file.

    ``section`` is the one that they are offsets in, for a file that is not linked.
    """
    words = [f"0x{address:x}" for address in addresses if 0 <= address < 1 << 64]
    within = ("-j", section) if section else ()
    for program in programs:
        argv = (program, "-a", "-f", "-i", *within, "-e", str(path), *words)
        try:
            result = await run_tool(argv, seconds)
        except HostError:  # it vanished, or cannot be executed: no reason to lose the verdict
            continue
        if found := parse_addr2line(result.output.decode(errors="replace")):
            return found
    return {}


def addr2lines(architecture: Architecture, own: str = "") -> list[str]:
    """Paths of the addr2lines to try: a build's own, its toolchain's, one that reads all."""
    prefixes = TOOLCHAINS[architecture]
    names = [own, *(f"{prefix}addr2line" for prefix in prefixes)]
    found = (shutil.which(name) for name in (*names, "llvm-addr2line", "addr2line") if name)
    return list(dict.fromkeys(path for path in found if path is not None))


def _table(stack: Iterable[Place], frames: Frames) -> list[str]:
    lines = []
    for shown, address in stack:
        for index, frame in enumerate(frames.get(address, (UNKNOWN,))):
            start = " " * 12 + "inlined into " if index else f"  0x{shown:<8x}  "
            lines.append(f"{start}{frame.function}" + (f"  {frame.place}" if frame.place else ""))
    return lines


def _top(stacks: Iterable[Sequence[Place]], frames: Frames) -> str:
    """The innermost function of the first trace that says more than that something went wrong."""
    for stack in stacks:
        how = "in"
        for _, address in stack:
            for frame in frames.get(address, ()):
                if frame.function not in REPORTING and not _is_start(frame):
                    place = f" at {short_place(frame.place)}" if frame.place else ""
                    return f"{how} {frame.function}{place}"
            if address not in frames:
                how = "called from"
    return ""


def _is_start(frame: Frame) -> bool:
    """Whether it is the assembly that every guest starts in (``cstart64.S``)."""
    return PurePath(frame.place.partition(":")[0]).name.startswith("cstart")


def short_place(place: str) -> str:
    """``x86/apic.c:942``: the file's last folder tells files of the same name apart."""
    return "/".join(PurePath(place).parts[-2:])
