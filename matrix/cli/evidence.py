"""What a case left in its folder, for ``matrix show RUN CASE``: console, diagnosis, files, command.

The folder may be a stranger's: only regular files in it are read, in bounded pieces, and all that
is shown is printable text.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from matrix.report.excerpts import DIAGNOSIS_FOLDER, Bounds, Text, read_text
from matrix.results.directory import COMMAND_FILE, CONSOLE_FILE
from matrix.results.printable import printable
from matrix.results.segments import BLANK, Line, Style, line

CONSOLE_LINES = 20
DIAGNOSES = {"kernel-trace.txt": 40, "stack.txt": 20, "registers.txt": 30}
"""Files of a diagnosis that are shown, and how many of their lines: the trace of a host's
kernel, the program counters with the functions that they are in, and the registers of all vCPUs."""
LONGEST_LINE = 400
MOST_FILES = 40
_BOUNDS = Bounds(head=16 * 2**10, tail=0)
_TAIL = Bounds(head=0, tail=16 * 2**10)
_KIB = 2**10


def evidence_lines(folder: Path) -> Iterator[Line]:
    """The console's end, what a hung guest was doing, the files, and QEMU's command line."""
    console = read_text(folder / CONSOLE_FILE, _TAIL)
    if console is not None:
        yield from _console(console)
    for name, most in DIAGNOSES.items():
        text = read_text(folder / DIAGNOSIS_FOLDER / name, _BOUNDS)
        if text is not None and text.head.strip():
            yield from _section(text.name, text.head.splitlines()[:most])
            left = len(text.head.splitlines()) - most
            if left > 0 or text.omitted:
                yield line("    …", Style.FAINT)
    files = list(_files(folder))
    if files:
        yield from _section("Files", files[:MOST_FILES])
        if len(files) > MOST_FILES:
            yield line(f"    … and {len(files) - MOST_FILES} more", Style.FAINT)
    command = read_text(folder / COMMAND_FILE, _BOUNDS)
    if command is not None:
        yield from _section("Command", _command(command.head))


def _console(text: Text) -> Iterator[Line]:
    lines = (text.head + text.tail).splitlines()
    if not lines:
        yield BLANK
        yield line("  Console: empty", Style.HEADING)
        return
    more = text.omitted or len(lines) > CONSOLE_LINES
    title = f"Console, last {CONSOLE_LINES} lines" if more else "Console"
    yield from _section(title, lines[-CONSOLE_LINES:])


def _section(title: str, lines: list[str]) -> Iterator[Line]:
    yield BLANK
    yield line(f"  {title}", Style.HEADING)
    for each in lines:
        cut = each if len(each) <= LONGEST_LINE else each[: LONGEST_LINE - 1] + "…"
        yield line(f"    {cut}")


def _files(folder: Path, below: str = "") -> Iterator[str]:
    """Each regular file with its size; folders in it one level deep, and no links."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                size = entry.stat(follow_symlinks=False).st_size
                yield f"{_size(size):>9}  {printable(below + entry.name)}"
            elif not below and entry.is_dir(follow_symlinks=False):
                yield from _files(folder / entry.name, f"{entry.name}/")
    except OSError:
        return


def _size(size: int) -> str:
    return f"{size} B" if size < _KIB else f"{size / _KIB:,.0f} KiB"


def _command(script: str) -> list[str]:
    """The command line of a ``command.sh``, without what makes it a script."""
    lines = [each for each in script.splitlines() if each.strip() and not each.startswith("#")]
    lines = [each.removeprefix("exec ") for each in lines if each.strip() != '"$@"']
    return [*lines[:-1], lines[-1].removesuffix("\\").rstrip()] if lines else []
