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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from matrix.errors import HostError

PREFIX = "matrix-"
LOCK = "owner.lock"

LONGEST_PATH = 107
"""Bytes in the address of a unix socket (sun_path in unix(7), without its closing zero)."""
ROOM = 48
"""Bytes of it for the folder's own name, and that of a socket in it."""
OTHERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - mkdtemp(3) is safe there
"""Parents where that of the user's choice has too long a path."""


class PrivateFolder:
    """A folder of ours alone (0700), under the host's folder for temporary files, or another where
    the path of that is too long for a socket."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls, prefix: str = PREFIX, *, sockets: bool = True) -> Self:
        """A new one.

        Args:
            prefix: its name begins so; itself begins with :data:`PREFIX`.
            sockets: its path is to be short enough for them.

        Raises:
            HostError: no folder for temporary files has a path that is short enough for sockets.
            OSError: it cannot be made.
        """
        parent = tempfile.gettempdir()
        if sockets:
            parent = short_parent(parent)
        remove_stale(parent)
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
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


def short_parent(wanted: str, others: Sequence[str] = OTHERS) -> str:
    """``wanted``, or the first of ``others`` that can be written where its path is too long.

    Raises:
        HostError: there is none.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    places = [wanted, *others]
    if runtime.startswith("/"):
        places.insert(1, runtime)
    for number, place in enumerate(places):
        fits = len(os.fsencode(place)) + ROOM <= LONGEST_PATH
        if fits and (number == 0 or os.access(place, os.W_OK | os.X_OK)):
            return place
    raise HostError(
        f"{wanted}: its path is too long for the sockets of a migration ({LONGEST_PATH - ROOM} "
        "bytes at most); set TMPDIR to a shorter one"
    )


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A private folder for as long as the body takes.

    Raises:
        HostError, OSError: as :meth:`PrivateFolder.make`.
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
