"""Says in which function of a guest that failed things went wrong: stacks, and where it hangs."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from matrix.errors import HostError
from matrix.model import Architecture, Build, Case
from matrix.results.files import host_errors
from matrix.suites.symbols import (
    Frame,
    GuestSymbols,
    guest_symbols,
    image_address,
    parse_addr2line,
    program_counters,
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
    Architecture.MIPS64EL: ("mips64el-linux-gnuabi64-", "mips64-linux-gnu-"),
}
"""Prefixes of the programs of cross toolchains, as Debian and Fedora name them."""

Place = tuple[int, int]
"""An address as the guest showed it, and the same in its ELF file."""

Frames = dict[int, tuple[Frame, ...]]
"""What is known of addresses in the file, the innermost function first."""

UNKNOWN = Frame("?", "")

REPORTING = frozenset({"abort", "report_abort", "dump_stack", "__assert_fail"})
"""Functions that tell of a failure elsewhere."""


class Stacks:
    """What an attempt's addresses mean; the guest's ELF file is read when it is first needed."""

    def __init__(self, case: Case, directory: Path) -> None:
        self._case = case
        self._directory = directory
        self._symbols: GuestSymbols | None = None
        self._looked = False

    def annotated(self, text: str) -> str:
        """``text`` with a name behind each ``pc 0x…``: ``pc 0x400851d0 (its_migration+0x30)``."""
        if not program_counters(text):
            return text
        symbols = self._find()
        return text if symbols is None else symbols.annotated(text)

    async def resolve(self, notes: Iterable[str], hung: str) -> str:
        """Write ``diagnosis/stack.txt``; return where the first stack begins, in words.

        Args:
            notes: of the guest's transcript, the traces among them.
            hung: words with the program counters of a guest that hangs.

        Returns:
            ``in FUNCTION at FILE:LINE``, or empty where no trace says where.

        Raises:
            HostError: the file cannot be written.
        """
        chains = stack_addresses(notes)[:CHAINS_RESOLVED]
        counters = program_counters(hung)
        symbols = self._find() if chains or counters else None
        if symbols is None:
            return ""
        stacks = [[(shown, symbols.from_stack(shown)) for shown in chain] for chain in chains]
        stood = [(shown, a) for shown in counters if (a := symbols.from_counter(shown)) is not None]
        wanted = dict.fromkeys(address for stack in (*stacks, stood) for _, address in stack)
        frames = await _look_up(self._case.build, symbols, tuple(wanted))
        blocks = [(f"Stack trace {number}", stack) for number, stack in enumerate(stacks, 1)]
        lines = [f"Code of {symbols.path}"]
        for title, stack in (*blocks, ("Where its vCPUs stood", stood)):
            if stack:
                lines += ["", title, *_table(stack, frames)]
        self._write("\n".join((*lines, "")))
        return _top(stacks, frames)

    def _find(self) -> GuestSymbols | None:
        if not self._looked:
            self._looked = True
            build, image = self._case.build, self._case.test.image
            base = image_address(_console(self._directory)) if build.efi else None
            self._symbols = guest_symbols(build, image, base)
        return self._symbols

    def _write(self, text: str) -> None:
        path = self._directory / "diagnosis" / STACK_FILE
        with host_errors("write", path):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_text(text)


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
    words = [f"0x{address:x}" for address in addresses if 0 <= address < 1 << 64]
    for program in _programs(build):
        argv = (program, "-a", "-f", "-i", "-e", str(symbols.path), *words)
        try:
            result = await run_tool(argv, TOOL_SECONDS)
        except HostError:  # it vanished, or cannot be executed: no reason to lose the verdict
            continue
        if found := parse_addr2line(result.output.decode(errors="replace")):
            return frames | found
    return frames


def _programs(build: Build) -> list[str]:
    """Paths of the addr2lines to try: the build's own, its toolchain's, one that reads all."""
    prefixes = TOOLCHAINS[build.architecture]
    names = [build.addr2line, *(f"{prefix}addr2line" for prefix in prefixes)]
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
                    place = f" at {_short(frame.place)}" if frame.place else ""
                    return f"{how} {frame.function}{place}"
            if address not in frames:
                how = "called from"
    return ""


def _is_start(frame: Frame) -> bool:
    """Whether it is the assembly that every guest starts in (``cstart64.S``)."""
    return PurePath(frame.place.partition(":")[0]).name.startswith("cstart")


def _short(place: str) -> str:
    """``x86/apic.c:942``: the file's last folder tells files of the same name apart."""
    return "/".join(PurePath(place).parts[-2:])
