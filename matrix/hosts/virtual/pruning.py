"""Images and saved states of virtual hosts that nobody has used for long make room for others."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 2 << 30
"""Of images, and of saved states: some 30 states, and as many kernels of users."""
ABANDONED_SECONDS = 24 * 3600.0
"""Since the last write, after which nobody completes what is unfinished: its run was killed."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed."""

    count: int = 0
    size: int = 0
    """Bytes on disk."""


def used(path: Path) -> None:
    """Note that an image or a state is used now."""
    with contextlib.suppress(OSError):  # another process may have removed it
        os.utime(path)


def prune(folder: Path, most: int = MOST_BYTES) -> Pruned:
    """Remove what was used the longest ago, until images and states have ``most`` bytes each; and
    what runs that were killed have left unfinished.

    Debian's packages stay: they are few, and others need them. A host that runs has read its files.
    """
    count = size = 0
    for place in (folder / "images", folder / "snapshots"):
        left = most
        for path in sorted(_complete(place), key=_last_used, reverse=True):
            here = _size(path)
            left -= here
            if left < 0:
                _remove(path)
                count, size = count + 1, size + here
    oldest = time.time() - ABANDONED_SECONDS
    for path in folder.glob("*/.*"):
        if _last_used(path) < oldest:
            size += _size(path)
            count += 1
            _remove(path)
    return Pruned(count, size)


def _complete(place: Path) -> Iterable[Path]:
    """Those that are no longer being written."""
    return (path for path in place.glob("*") if not path.name.startswith("."))


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    files = path.iterdir() if path.is_dir() else (path,)
    with contextlib.suppress(OSError):  # removed meanwhile
        # A kernel that is Debian's is shared with its package.
        statuses = [each.stat() for each in files]
        return sum(each.st_blocks * 512 for each in statuses if each.st_nlink == 1)
    return 0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
