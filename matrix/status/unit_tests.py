"""The tests that kvm-unit-tests gained, by the sections of its ``unittests.cfg`` files."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from matrix.results.printable import printable
from matrix.status.git import GitStream
from matrix.status.kernel_paths import kernel_name

_FOLDERS = {"arm": "arm64"}
"""kvm-unit-tests has arm and arm64 in one folder, most of its tests for arm64."""
_BEGIN = "\x01"
_SECTION = re.compile(r"([+-])\[([^\]]+)\]\s*")


@dataclass(frozen=True, slots=True)
class NewTest:
    """A section that a commit added."""

    part: str
    """The architecture, as the kernel calls it."""
    name: str
    time: int
    """Unix time at which it was committed."""


def read_unit_tests(repository: Path) -> list[NewTest]:
    """The tests that the history of the current branch added, the youngest first.

    Raises:
        UsageError: git fails.
    """
    log = GitStream(
        *(repository, "log", "--no-merges", "--full-history", "--no-show-signature"),
        *("--no-ext-diff", "--no-textconv", "-M", "-p", "-U0", f"--format=tformat:{_BEGIN}%ct"),
        *("HEAD", "--", ":(glob)*/unittests.cfg"),
    )
    return list(parse_patches(log))


def parse_patches(lines: Iterable[str]) -> Iterator[NewTest]:
    """The tests that are added by what ``git log -p -U0`` prints; one that only moves is none."""
    time, folder = 0, ""
    added: dict[tuple[str, str], None] = {}
    removed: set[str] = set()
    for line in (*lines, _BEGIN):
        if line.startswith(_BEGIN):
            yield from (NewTest(part, name, time) for part, name in added if name not in removed)
            added, removed = {}, set()
            time = int(line[1:] or 0)
        elif line.startswith("+++ b/"):
            folder = line[6:].partition("/")[0]
        elif section := _SECTION.fullmatch(line):
            name = printable(section[2])
            if section[1] == "-":
                removed.add(name)
            else:
                added[kernel_name(_FOLDERS.get(folder, folder)), name] = None
