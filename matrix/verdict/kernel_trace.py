"""Where in its source a kernel reports a fault: the functions of its trace, as file and line.

A kernel prints ``function+0xoffset/0xsize [module]``, which holds wherever it was loaded. One
without kallsyms prints addresses, from which the offset is taken that KASLR has added: a panic
says it, and so does any line that has an address and a name.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.errors import HostError
from matrix.model import Architecture
from matrix.verdict.elf import Function, find_functions
from matrix.verdict.symbolization import Frames, addr2lines, ask_addr2line, short_place
from matrix.verdict.symbols import Frame

TOOL_SECONDS = 60.0
"""For one addr2line: a vmlinux with debug information has some 500 MB."""
ALIGNMENT = 64
"""Bytes, at most, to which kernels align functions."""
TRACE_FILE = "kernel-trace.txt"
DEBUG_ROOT = Path("/usr/lib/debug")
"""Where distributions put the symbols of their packages."""

_NAMED = re.compile(
    r"(?P<function>[A-Za-z_][\w.$]*)\+0x(?P<offset>[0-9a-f]{1,8})/0x(?P<size>[0-9a-f]{1,8})"
    r"(?: \[(?P<module>[\w-]+)(?: [0-9a-f]+)?\])?"
)
_ADDRESS = r"([0-9a-f]{16})\b"
_BARE = re.compile(
    rf"\[<{_ADDRESS}>\]|^\s*(?:\? )?0x{_ADDRESS}|(?:RIP: [0-9a-f]{{4}}:|\b[a-z]+ : )0x{_ADDRESS}"
    rf"|\[{_ADDRESS}\] 0x"
)
_BRACKETED = re.compile(rf"\[<?{_ADDRESS}>?\] *$")
_OFFSET = re.compile(r"Kernel Offset: (?:0x([0-9a-f]{1,16})|disabled)")
_EXACT = re.compile(r"RIP: |\be?pc : |\bNIP \[|\bPC is at |\bKrnl PSW|^[A-Z]+: .* (?:at|in) |\(P\)")
"""Of an instruction itself; other lines have addresses to return to, and the call is before."""
_MAYBE = re.compile(r"^\s*\? ")
"""x86's way to say that it may be left over from earlier calls."""
_REPORTING = re.compile(
    r"(?:dump_|show_|unwind_|k[acm]san_|print_|__warn|report_bug|v?panic\b|die\b|__die\b|bug_handler"
    r"|handle_bug|exc_|asm_exc_|do_trap|oops_|__might_|lockdep_|check_)"
)
"""Functions that tell of a fault elsewhere."""


@dataclass(frozen=True, slots=True)
class DebugFiles:
    """The files of a kernel that have its symbols."""

    vmlinux: Path | None
    modules: tuple[Path, ...] = ()
    """Folders with ``NAME.ko`` or ``NAME.ko.debug`` in them or below."""

    def module(self, name: str) -> Path | None:
        """The file of a module, whose name has ``_`` where its file may have ``-``."""
        wanted = {
            f"{each}{end}"
            for each in (name, name.replace("_", "-"))
            for end in (".ko.debug", ".ko")
        }
        paths = (path for folder in self.modules for path in sorted(folder.rglob("*.ko*")))
        return next((path for path in paths if path.name in wanted), None)


@dataclass(frozen=True, slots=True)
class _Mention:
    """Code that a line of a trace names."""

    line: int
    exact: bool
    function: str = ""
    offset: int = 0
    size: int = 0
    module: str = ""
    address: int | None = None
    """As printed, where it was."""

    @property
    def back(self) -> int:
        """How far before it the call is."""
        return 0 if self.exact or (self.function and not self.offset) else 1


def debug_files(
    given: Path | None, image: Path | None, modules: Path | None, release: str
) -> DebugFiles:
    """Where the symbols of a kernel are, of all places where they may be.

    Args:
        given: the vmlinux that the user names.
        image: the user's kernel, which may be a vmlinux, or lie in the tree that has one.
        modules: the folder of its modules.
        release: ``uname -r`` of the kernel; of a distribution's, symbols may be installed.
    """
    tree = image.parents[3] if image and image.parts[-4:-3] and image.parts[-4] == "arch" else None
    candidates = [given, image, tree and tree / "vmlinux"]
    installed = DEBUG_ROOT / "lib/modules" / release
    if image is None and release:
        candidates += [DEBUG_ROOT / "boot" / f"vmlinux-{release}", installed / "vmlinux"]
    found = next((path for path in candidates if path is not None and _is_elf(path)), None)
    folders = [modules] if image is not None else [installed] if release else []
    return DebugFiles(found, tuple(each for each in folders if each is not None))


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


async def symbolized_trace(
    trace: Sequence[str], files: DebugFiles, architecture: Architecture, directory: Path
) -> str:
    """Where the fault is, as ``in FUNCTION at FILE:LINE``; empty where that is not known.

    The trace with a place behind each line goes to the attempt's ``diagnosis/kernel-trace.txt``.

    Args:
        trace: the lines of a report, in their order, without times.
        files: of the kernel.
        architecture: of the kernel.
        directory: of the attempt.

    Raises:
        HostError: the file cannot be written.
    """
    mentions = tuple(_mentions(trace))
    known = await _look_up(mentions, trace, files, architecture)
    if not known:
        return ""
    path = directory / "diagnosis" / TRACE_FILE
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text("".join(_annotated(trace, known)), errors="replace")
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}") from error
    return _top(trace, known)


_Known = dict[_Mention, tuple[Frame, ...]]


def _mentions(trace: Sequence[str]) -> Iterator[_Mention]:
    exact: set[tuple[str, int]] = set()
    for number, line in enumerate(trace):
        named = _NAMED.search(line)
        if named is not None:
            place = named["function"], int(named["offset"], 16)
            if _EXACT.search(line):
                exact.add(place)  # arm64 and s390x have it again at the head of the trace
            before = _BRACKETED.search(line[: named.start()])
            yield _Mention(
                number,
                place in exact,
                *place,
                size=int(named["size"], 16),
                module=named["module"] or "",
                address=int(before[1], 16) if before else None,
            )
        elif bare := _BARE.search(line):
            address = int(bare[bare.lastindex or 0], 16)
            yield _Mention(number, bool(_EXACT.search(line)), address=address)


async def _look_up(
    mentions: Sequence[_Mention], trace: Iterable[str], files: DebugFiles, arch: Architecture
) -> _Known:
    known: _Known = {}
    programs = addr2lines(arch)
    for module in dict.fromkeys(each.module for each in mentions):
        path = files.module(module) if module else files.vmlinux
        if path is None:
            continue
        own = [each for each in mentions if each.module == module]
        functions = find_functions(path, {each.function for each in own if each.function})
        placed = {each: at for each in own if (at := _function(each, functions)) is not None}
        offset = None if module else _kaslr_offset(trace, placed)
        wanted: dict[str, dict[_Mention, int]] = {}
        for each in own:
            if each in placed:
                at = placed[each]
                address = at.address + each.offset - each.back
                wanted.setdefault(at.section, {})[each] = address
            elif not each.function and offset is not None and each.address is not None:
                wanted.setdefault("", {})[each] = each.address - offset - each.back
        for section, addresses in wanted.items():
            unique = dict.fromkeys(addresses.values())
            frames: Frames = await ask_addr2line(programs, path, unique, TOOL_SECONDS, section)
            known |= {each: frames[at] for each, at in addresses.items() if at in frames}
    return known


def _function(mention: _Mention, functions: dict[str, tuple[Function, ...]]) -> Function | None:
    """The one of that name and size: another size is that of another build, or of a namesake.

    The kernel counts up to the next symbol, so what lies between the two may make it larger.
    """
    fitting = [
        each
        for each in functions.get(mention.function, ())
        if mention.offset - mention.back < each.size <= mention.size < each.size + ALIGNMENT
    ]
    fitting = [each for each in fitting if each.size == mention.size] or fitting
    return fitting[0] if len({each.address for each in fitting}) == 1 else None


def _kaslr_offset(trace: Iterable[str], placed: dict[_Mention, Function]) -> int | None:
    """What the kernel's addresses are more than those of its file; None where nothing says."""
    for mention, function in placed.items():
        if mention.address is not None:
            return mention.address - function.address - mention.offset
    said = next((match for match in map(_OFFSET.search, trace) if match), None)
    return None if said is None else int(said[1] or "0", 16)


def _annotated(trace: Sequence[str], known: _Known) -> Iterator[str]:
    by_line = {mention.line: frames for mention, frames in known.items()}
    for number, line in enumerate(trace):
        yield line + "\n"
        for index, frame in enumerate(by_line.get(number, ())):
            how = "inlined into" if index else "->"
            yield f"        {how} {frame.function}  {frame.place}".rstrip() + "\n"


def _top(trace: Sequence[str], known: _Known) -> str:
    """Where the fault was, before functions that only tell of it."""
    certain = [each for each in known if not _MAYBE.match(trace[each.line])]
    for mention in sorted(certain, key=lambda each: (not each.exact, each.line)):
        for frame in known[mention]:
            if not _REPORTING.match(frame.function):
                place = f" at {short_place(frame.place)}" if frame.place else ""
                return f"in {frame.function}{place}"
    return ""
