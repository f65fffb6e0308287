"""Private folders with short paths: sockets and keys of a chain, removed also after a crash.

A folder holds a lock (flock(2)) while its owner lives. One that nobody holds was left behind by an
orchestrator that was killed: the next one removes it.
"""

import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

PREFIX = "matrix-"
LOCK = "owner.lock"


class PrivateFolder:
    """A folder of ours alone (0700), under the host's folder for temporary files."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls) -> Self:
        """A new one.

        Raises:
            OSError: it cannot be made.
        """
        remove_stale(tempfile.gettempdir())
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            return cls(path, _locked(path))
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise

    def remove(self) -> None:
        """Remove it with all that is in it; idempotent."""
        if self._lock < 0:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A private folder for as long as the body takes.

    Raises:
        OSError: it cannot be made.
    """
    folder = PrivateFolder.make()
    try:
        yield folder.path
    finally:
        folder.remove()


@functools.cache
def remove_stale(parent: str) -> None:
    """Remove what killed orchestrators of this user have left there; once in our life.

    Only folders with a lock of ours in them are looked at. What cannot be removed is left.
    """
    with contextlib.suppress(OSError), os.scandir(parent) as entries:  # others' folders may vanish
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                _remove_if_stale(Path(entry.path))


def _remove_if_stale(path: Path) -> None:
    try:
        if path.stat(follow_symlinks=False).st_uid != os.getuid():
            return
        lock = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # another's, or not yet locked
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # its owner lives
    else:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _locked(path: Path) -> int:
    """A lock in the folder, which no one sees before it is held."""
    new = path / f"{LOCK}.new"
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(path / LOCK)
    except OSError:
        os.close(lock)
        raise
    return lock
