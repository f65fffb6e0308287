"""How the files that a user or a scenario names are read: once, and never something that hangs."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 1 << 20
"""Of a scenario, or of a file of known failures."""


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file that the command line names, read once: it may be a pipe."""

    path: Path
    data: bytes
    """At most one byte more than :data:`MAX_BYTES`."""
    directory: Path
    """Where paths in it start: its folder, or for what is no file (``<(…)``) the current one."""
    regular: bool


def read_given(path: Path) -> GivenFile:
    """Read a file that the user named.

    Raises:
        OSError: it cannot be read.
        ValueError: the name has a NUL.
    """
    with path.open("rb") as file:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        data = file.read(MAX_BYTES + 1)
    return GivenFile(path, data, path.parent if regular else Path(), regular)


def read_named(path: Path, directory: Path) -> bytes:
    """Read a file that a scenario names: a regular one, as a pipe may never have an end.

    Args:
        path: of the file.
        directory: the scenario's, out of which no symbolic link may lead.

    Raises:
        OSError: it cannot be read, is not a regular file, or is outside.
        ValueError: the name has a NUL.
    """
    if not path.resolve().is_relative_to(directory.resolve()):
        raise OSError("it is a link that leads outside the scenario's folder")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        return file.read(MAX_BYTES + 1)
