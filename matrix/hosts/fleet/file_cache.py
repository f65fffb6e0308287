"""Files that cases need, kept on a host by what is in them: each is sent once.

Those that were used least lately go when there are too many.
What is handed out is a link of its own, which keeps a file for as long as its run needs it.
"""

import contextlib
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from matrix.hosts.contents import CaseFile
from matrix.hosts.lines import WireError

MOST = 4 << 30
"""Bytes that are kept."""

_NAME = re.compile(r"file:(\d{1,9})/([^/\0]{1,255})")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class FileCache:
    """A folder of files that are named by their digests."""

    folder: Path
    most: int = MOST

    def has(self, file: CaseFile) -> bool:
        """Whether it need not be sent."""
        return self._path(file.sha256).is_file()

    def link(self, file: CaseFile, folder: Path) -> Path:
        """Where the file is, under its own name, below a folder of the run.

        Raises:
            WireError: it has no name that a file could have.
            OSError: it is not there any more, or cannot be linked.
        """
        match = _NAME.fullmatch(file.name)
        if match is None or match[2] in (".", ".."):
            raise WireError(f"{file.name!r} names no file")
        path = folder / match[1] / match[2]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            source = self._path(file.sha256)
            os.utime(source)
            path.hardlink_to(source)
        return path

    def receive(self, sha256: str, size: int) -> "Incoming":
        """Begin to take a file of so many bytes.

        Raises:
            OSError: there is no place for it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=".incoming-")
        return Incoming(self, sha256, size, os.fdopen(descriptor, "wb"), Path(name))

    def prune(self) -> None:
        """Remove what was used least lately until the rest is within bounds."""
        entries = sorted(
            ((status.st_mtime, status.st_size, path) for path, status in self._entries()),
            reverse=True,
        )
        total = 0
        for _, size, path in entries:
            total += size
            if total > self.most:
                path.unlink(missing_ok=True)

    def clear_incoming(self) -> None:
        """Remove what an agent that was killed had not received to its end."""
        for path in self.folder.glob(".incoming-*"):
            path.unlink(missing_ok=True)

    def _entries(self) -> list[tuple[Path, os.stat_result]]:
        paths = [path for path in self.folder.iterdir() if _DIGEST.fullmatch(path.name)]
        return [(path, path.stat()) for path in paths]

    def _path(self, sha256: str) -> Path:
        if not _DIGEST.fullmatch(sha256):
            raise WireError(f"{sha256!r} is no digest")
        return self.folder / sha256


@dataclass(slots=True)
class Incoming:
    """A file that is being sent."""

    cache: FileCache
    sha256: str
    left: int
    """Bytes that are to come."""
    file: BinaryIO
    path: Path
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    """Of what has come: to read a large file again would keep the event loop from its beats."""

    def write(self, data: bytes) -> None:
        """The next piece.

        Raises:
            WireError: it is more than was announced.
            OSError: the disk is full.
        """
        self.left -= len(data)
        if self.left < 0:
            raise WireError(f"{self.sha256} has more bytes than were announced")
        self._digest.update(data)
        self.file.write(data)

    def finish(self) -> None:
        """It is whole.

        Raises:
            WireError: it is not what it was announced as.
            OSError: the disk is full.
        """
        try:
            self.file.close()
            found = self._digest.hexdigest()
            if found != self.sha256:
                raise WireError(f"a file came as {found}, but {self.sha256} was wanted")
            self.path.rename(self.cache.folder / self.sha256)
        finally:
            self.drop()

    def drop(self) -> None:
        """Forget it, unless it is whole."""
        with contextlib.suppress(OSError):  # a full disk may say so only here
            self.file.close()
        self.path.unlink(missing_ok=True)
