"""What a case left in its folder, in bounded pieces that are safe to show.

The folder may be a stranger's: only regular files are opened, and what they hold comes out as
:mod:`matrix.results.printable` text, in which no control character, escape sequence or
bidirectional override is left.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from matrix.errors import HostError, UsageError
from matrix.results.directory import COMMAND_FILE, CONSOLE_FILE
from matrix.results.files import open_regular
from matrix.results.printable import decoded

STDERR_FILE = "qemu.log"
DIAGNOSIS_FOLDER = "diagnosis"
MOST_DIAGNOSES = 12
"""Files of ``diagnosis/`` that are shown; a hung guest has five."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes of a file that are shown: of its begin and of its end."""

    head: int
    tail: int


@dataclass(frozen=True, slots=True)
class Excerpts:
    """How much is shown of one case."""

    console: Bounds
    stderr: Bounds
    command: int
    diagnosis: Bounds


WHOLE = Excerpts(
    console=Bounds(head=8 * 2**10, tail=24 * 2**10),
    stderr=Bounds(head=4 * 2**10, tail=12 * 2**10),
    command=16 * 2**10,
    diagnosis=Bounds(head=12 * 2**10, tail=4 * 2**10),
)
"""Of a case that did not pass."""

SHORT = Excerpts(
    console=Bounds(head=1 * 2**10, tail=7 * 2**10),
    stderr=Bounds(head=1 * 2**10, tail=3 * 2**10),
    command=16 * 2**10,
    diagnosis=Bounds(head=4 * 2**10, tail=0),
)
"""Of a case that is good."""


@dataclass(frozen=True, slots=True)
class Text:
    """A file, or its begin and its end."""

    name: str
    size: int
    """Bytes of the whole file."""
    head: str
    tail: str = ""
    omitted: int = 0
    """Bytes between ``head`` and ``tail`` that are not shown."""


def texts_of(folder: Path, excerpts: Excerpts) -> tuple[Text, ...]:
    """The console, QEMU's stderr, the command and the diagnosis of one attempt, those it has."""
    command = Bounds(head=excerpts.command, tail=0)
    found = [
        read_text(folder / CONSOLE_FILE, excerpts.console),
        read_text(folder / STDERR_FILE, excerpts.stderr),
        read_text(folder / COMMAND_FILE, command),
    ]
    diagnosis = folder / DIAGNOSIS_FOLDER
    for name in _diagnoses(diagnosis):
        text = read_text(diagnosis / name, excerpts.diagnosis)
        found.append(text)
    return tuple(text for text in found if text is not None)


def read_text(path: Path, bounds: Bounds) -> Text | None:
    """A file's begin and end as far as ``bounds`` let it; None without such a regular file.

    The begin ends with a line and the end begins with one, where they have lines.
    """
    if not os.path.lexists(path):
        return None  # as of most files of most cases: an exception takes five times as long
    try:
        file = open_regular(path)
    except (UsageError, HostError):
        return None
    name = path.name if path.parent.name != DIAGNOSIS_FOLDER else f"{DIAGNOSIS_FOLDER}/{path.name}"
    with file:
        try:
            size = os.fstat(file.fileno()).st_size
            head = file.read(bounds.head + bounds.tail if _fits(size, bounds) else bounds.head)
            tail = b""
            if not _fits(size, bounds):
                head = head[: head.rfind(b"\n") + 1] or head
                if bounds.tail:
                    file.seek(size - bounds.tail)
                    tail = file.read(bounds.tail)
                    tail = tail.partition(b"\n")[2] or tail
        except OSError:
            return None
    omitted = max(0, size - len(head) - len(tail))
    return Text(
        decoded(name.encode("utf-8", "surrogateescape")), size, _shown(head), _shown(tail), omitted
    )


def _fits(size: int, bounds: Bounds) -> bool:
    return size <= bounds.head + bounds.tail


def _shown(data: bytes) -> str:
    """Text with lone carriage returns, as terminals take them, as line breaks."""
    with suppress(UnicodeDecodeError):  # then line by line, below
        text = data.decode()
        if text.replace("\n", "").isprintable():
            return text  # most are: ten times as fast as looking at every line
    return decoded(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))


def _diagnoses(folder: Path) -> list[str]:
    """The names of the files in ``diagnosis/``, which must itself be a folder and no link."""
    if not os.path.lexists(folder):
        return []
    try:
        if folder.is_symlink():
            return []
        with os.scandir(folder) as entries:
            names = sorted(each.name for each in entries if each.is_file(follow_symlinks=False))
            names = [name for name in names if not name.endswith(".elf")]  # a guest's memory
    except OSError:
        return []
    return names[:MOST_DIAGNOSES]
