"""Which of this program decides what a case comes to, as one digest.

A developer who edits how guests are started, watched or judged has every case run again; one who
edits a report has not. Live migration is left out: cases that are migrated are never reused.
"""

from collections.abc import Iterator
from pathlib import Path

import matrix
from matrix import __version__
from matrix.hosts.digests import Digests
from matrix.plan.inputs import value_of

FOLDERS = ("hosts/local", "plan", "scenario", "suites", "verdict", "vm")
"""Packages that are part of it, whole; and of the package itself, all modules."""


def judging_version(digests: Digests, root: Path = Path(matrix.__file__).parent) -> str:
    """The digest of the program in ``root``; empty where its sources cannot be read: no result can
    be reused then."""
    try:
        names = sorted(map(str, _files(root)))
        found = [(name.removeprefix(str(root)), digests.of(name)) for name in names]
    except (OSError, ValueError):
        return ""
    return value_of(__version__, found) if found else ""


def _files(root: Path) -> Iterator[Path]:
    yield from root.glob("*.py")
    for folder in FOLDERS:
        yield from (root / folder).rglob("*.py")
