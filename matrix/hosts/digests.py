"""SHA-256 of files, kept from run to run for as long as the files are what they were."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from matrix.hosts.cache import Cache

NAME, KEY = "digests of files", "sha256"
MOST = 20_000
"""Files that are kept; those that were asked for last stay."""
SETTLED = 2_000_000_000
"""Nanoseconds. A file that was changed less long ago may be changed once more without its times
showing it (the kernel's clock ticks every few milliseconds): its digest is not kept."""

LOOK_EVERY = 1.0
"""Seconds from one look at files that many cases share to the next."""

FileState = tuple[int, int, int, int, int]
"""Device, inode, bytes, times of the last change of content and inode in ns. Nobody can set the
last one, as build tools and copying do with the time before it."""


class Digests:
    """Reads each file once, and not at all where a former run has."""

    def __init__(self, cache: Cache, now: Callable[[], int] = time.time_ns) -> None:
        """Keeps digests in ``cache``; ``now`` gives nanoseconds since 1970."""
        self._cache = cache
        self._now = now
        self._kept = cache.read(NAME, KEY, _decoded) or {}
        self._known: dict[str, tuple[FileState, str]] = {}
        self._new = False

    def of(self, path: str) -> str:
        """The digest of a file, hexadecimal.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        state = _state(path)
        found = self._known.get(path) or self._kept.get(path)
        if found is None or found[0] != state:
            with open(path, "rb") as file:  # noqa: PTH123 - hundreds before every run
                found = state, hashlib.file_digest(file, "sha256").hexdigest()
            self._new = True
        self._known[path] = found
        return found[1]

    def states(self, paths: Iterable[str]) -> tuple[tuple[str, FileState], ...]:
        """How files were whose digests were asked for, when they were read."""
        return tuple((path, self._known[path][0]) for path in paths)

    def save(self) -> None:
        """Keep what was read anew for the next run."""
        if not self._new:
            return
        settled = self._now() - SETTLED
        old = {path: each for path, each in self._kept.items() if path not in self._known}
        new = {path: each for path, each in self._known.items() if max(each[0][3:]) < settled}
        every = list((old | new).items())[-MOST:]
        self._cache.write(NAME, KEY, [[path, *state, digest] for path, (state, digest) in every])
        self._new = False


def unchanged(states: Iterable[tuple[str, FileState]]) -> bool:
    """Whether files are still what they were."""
    try:
        return all(_state(path) == state for path, state in states)
    except OSError:
        return False


@dataclass(slots=True)
class SharedFiles:
    """Files that many cases have in common: a QEMU has some two hundred, which is half a
    millisecond of each case that ends. So a change is found within :data:`LOOK_EVERY`."""

    states: tuple[tuple[str, FileState], ...]
    clock: Callable[[], float] = time.monotonic
    _hold: bool = True
    _looked: float = -LOOK_EVERY

    def hold(self) -> bool:
        """Whether all are still what they were, as far as that was looked at."""
        now = self.clock()
        if self._hold and now - self._looked >= LOOK_EVERY:
            self._hold, self._looked = unchanged(self.states), now
        return self._hold


def _state(path: str) -> FileState:
    status = os.stat(path)  # noqa: PTH116 - hundreds before every run
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _decoded(value: Any) -> dict[str, tuple[FileState, str]]:
    return {path: ((a, b, c, d, e), digest) for path, a, b, c, d, e, digest in value}
