"""An attempt's folder on its way from the host that ran it into the run directory.

Regular files alone travel, in pieces. What arrives stays in the attempt's folder, whatever it is
called.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from matrix.hosts.fleet.messages import CHUNK, Part
from matrix.hosts.lines import WireError
from matrix.results.files import host_errors

MOST = 1 << 30
"""Bytes of a folder that are handed over; a core file may be larger."""
LEFT_OUT = "not-handed-over.txt"


def parts_of(folder: Path, most: int = MOST) -> Iterator[Part]:
    """The pieces of a folder, smallest files first; those that are too much are told in a file.

    Raises:
        OSError: it cannot be read.
    """
    files = sorted(_files(folder), key=lambda entry: entry[0])
    left = most
    missing: list[str] = []
    for size, name, executable in files:
        if size > left:
            missing.append(f"{name}: {size} bytes")
            continue
        left -= size
        yield from _pieces(folder / name, name, executable)
    if missing:
        text = "\n".join(("more than is handed over, and left on the host:", *missing, ""))
        yield Part(LEFT_OUT, text.encode(), first=True)


def _files(folder: Path) -> Iterator[tuple[int, str, bool]]:
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            if path.is_file() and not path.is_symlink():
                status = path.stat()
                relative = path.relative_to(folder).as_posix()
                yield status.st_size, relative, bool(status.st_mode & 0o100)


def _pieces(path: Path, name: str, executable: bool) -> Iterator[Part]:
    first = True
    with path.open("rb") as file:
        while (data := file.read(CHUNK)) or first:
            yield Part(name, data, first, executable)
            first = False


def take(folder: Path, part: Part) -> None:
    """Write a piece.

    Raises:
        WireError: it would be written elsewhere.
        HostError: the disk is full.
    """
    pure = PurePosixPath(part.path)
    if pure.is_absolute() or not pure.parts or {"..", "."} & {*pure.parts} or "\0" in part.path:
        raise WireError(f"{part.path!r} is no artifact of an attempt")
    path = folder / pure
    with host_errors("write", path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
        flags |= os.O_TRUNC if part.first else os.O_APPEND
        mode = 0o700 if part.executable else 0o600
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            file.write(part.data)
