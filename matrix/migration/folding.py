"""Keeps hops.jsonl bounded: the worst hops and the last thousand whole, others as distributions.

A file of many hops begins with one line ``{"folded": …}``: what :class:`Statistics` knows of *all*
hops up to the number ``upto``, also of those that are still in the file. A line has some 1.7 kB,
and much more of a hop that took a minute, so that the last ones have a limit in bytes, too.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.migration.statistics import Statistics

LAST = 1000
"""Hops that are kept whole at least: the last ones."""
FOLDED_AT = 2 * LAST
"""Hops after which the file is folded; the worst, some 600 at most, come on top."""
LAST_BYTES = 16 << 20
"""Of the last hops."""
FOLDED_AT_BYTES = 2 * LAST_BYTES
FOLD = b'{"folded":'
_NUMBER = re.compile(rb'\{"number": ?(\d+)')


@dataclass(frozen=True, slots=True)
class Folded:
    """The first line of a folded file."""

    upto: int
    """Number of the last hop that is in ``statistics``."""
    seconds: float
    """Wall time that the chain was at work until then."""
    ended: float
    """Unix time at which that hop was over."""
    statistics: dict[str, Any]
    """A :meth:`Statistics.state`."""


def fold(path: Path, statistics: Statistics, folded: Folded) -> tuple[int, int]:
    """Rewrite the file: ``folded``, the worst hops, and the last ones; how many, and their bytes.

    A process that is killed meanwhile leaves the file as it was.

    Raises:
        OSError: the host cannot store it.
    """
    lines = [line for line in _lines(path) if not line.startswith(FOLD)]
    kept = statistics.telling()
    room, last = LAST_BYTES, len(lines)
    while last and len(lines) - last < LAST and room >= len(lines[last - 1]):
        last -= 1
        room -= len(lines[last])
    first = json.dumps(
        {
            "folded": {
                "upto": folded.upto,
                "seconds": folded.seconds,
                "ended": folded.ended,
                "statistics": folded.statistics,
            }
        }
    )
    whole = [line for line in lines[:last] if _number(line) in kept] + lines[last:]
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(b"".join([first.encode() + b"\n", *whole]))
    new.replace(path)
    return len(lines) - last, LAST_BYTES - room


def folded_of(path: Path) -> Folded | None:
    """What the first line of a file of hops says; None where no hop was folded.

    Raises:
        OSError: it cannot be read.
        ValueError: it begins as a folded file, and is none.
    """
    with path.open("rb") as file:
        line = file.readline()
    if not line.startswith(FOLD):
        return None
    try:
        told = json.loads(line)["folded"]
        return Folded(
            int(told["upto"]),
            float(told["seconds"]),
            float(told["ended"]),
            dict(told["statistics"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}:1: no record of hops") from error


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _number(line: bytes) -> int:
    found = _NUMBER.match(line)
    return int(found[1]) if found else 0
