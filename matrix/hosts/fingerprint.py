"""Which files an answer of QEMU depends on, and whether they have changed since.

A QEMU "binary" may be a shell script that starts the real one with its own loader and libraries
(Debian's ``qemu-system-i386`` is, and so are unpacked versions side by side). Its own size and time
say nothing of the program behind it, so besides the file that is started a fingerprint holds

* every file that was mapped as code into the QEMU process that answered: program, loader,
  libraries, modules;
* for a script, every absolute path of a file that its text names, so that a symbolic link which
  comes to point elsewhere is seen too.

What a script decides by its environment alone is not seen: that is what asking afresh is for.

A CI job installs everything anew, on another disk each time: there files are told apart by their
content, or no answer that a CI system keeps would ever be used.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from matrix.results.printable import in_ci

SCRIPT_BYTES = 64 * 1024
"""How much of a script is searched for paths; the known ones take less than 1 KiB."""

ABSOLUTE_PATH = re.compile(r"(?<![\w./$}])/[\w.+@%,=/-]+")
EXECUTABLE = re.compile(r"^\S+ ..x. \S+ \S+ \S+ +(/.*)$", re.MULTILINE)
"""Executable mappings of files in /proc/PID/maps (proc_pid_maps(5))."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """One file as it was: a missing one has an inode of 0."""

    path: str
    size: int = 0
    modified: int = 0
    """Nanoseconds since 1970; in CI a digest of the content."""
    inode: int = 0


@dataclass(slots=True)
class Stamper:
    """Takes stamps, once per path: binaries share most of their libraries."""

    _known: dict[str, Stamp] = field(default_factory=dict)

    def stamp(self, path: str) -> Stamp:
        """The file's stamp; symbolic links are followed."""
        found = self._known.get(path)
        if found is None:
            found = self._known[path] = take_stamp(path)
        return found

    def unchanged(self, stamps: Iterable[Stamp]) -> bool:
        """Whether every file is still what it was."""
        return all(self.stamp(stamp.path) == stamp for stamp in stamps)


def take_stamp(path: str) -> Stamp:
    """The stamp of a file as it is now; symbolic links are followed."""
    try:
        status = Path(path).stat()
        if in_ci(os.environ) and stat.S_ISREG(status.st_mode):
            with Path(path).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            return Stamp(path, status.st_size, int.from_bytes(digest[:8]))
    except OSError:
        return Stamp(path)
    return Stamp(path, status.st_size, status.st_mtime_ns, status.st_ino)


def files_behind(launcher: Path, maps: str) -> tuple[str, ...]:
    """Every file that decides what ``launcher`` is, itself first.

    Args:
        launcher: the file that is started.
        maps: ``/proc/PID/maps`` of the process that it became, empty where it could not be read.
    """
    mapped = {name for name in EXECUTABLE.findall(maps) if not name.endswith(" (deleted)")}
    named = set(script_paths(launcher))
    return (str(launcher), *sorted((mapped | named) - {str(launcher)}))


def script_paths(launcher: Path) -> tuple[str, ...]:
    """Absolute paths that a script names, of regular files or of nothing; none for a program."""
    try:
        with launcher.open("rb") as file:
            head = file.read(SCRIPT_BYTES)
    except OSError:
        return ()
    if not head.startswith(b"#!"):
        return ()
    names = dict.fromkeys(ABSOLUTE_PATH.findall(head.decode(errors="replace")))
    # Folders change whenever anything in them does, devices for no reason at all.
    return tuple(name for name in names if Path(name).is_file() or not Path(name).exists())
