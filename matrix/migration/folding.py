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
from typing import Any, BinaryIO, NamedTuple

from pydantic import ConfigDict, RootModel, TypeAdapter, ValidationError

from matrix.migrating import Hop
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


HOPS_FILE = "hops.jsonl"
HOP = TypeAdapter(Hop)
LONGEST_LINE = 8 << 20
"""Bytes; a hop with all its samples takes some KiB."""


class _HopLine(RootModel[Hop]):
    """A hop in a file that may be anybody's: ``1e999`` is infinite, and in no page or statistic."""

    # Holds for all dataclasses inside; a TypeAdapter of a dataclass takes no settings.
    model_config = ConfigDict(allow_inf_nan=False)


class Line(NamedTuple):
    """A line of the file."""

    number: int
    """From 1."""
    offset: int
    data: bytes


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
    with path.open("rb") as file:
        lines = [line.data for line in hop_lines(file) if line.data.endswith(b"\n")]
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


def hop_lines(file: BinaryIO) -> Iterator[Line]:
    """The lines of a hops.jsonl, which may be anybody's, but for the first one of a folded file.

    The last one is without its end where its writer was killed, or still writes. Of one that is
    too long for a hop there are no bytes.
    """
    offset, cut = 0, False
    for number, data in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=1):
        whole = data.endswith(b"\n") or len(data) < LONGEST_LINE
        if not cut and data.strip() and not (offset == 0 and data.startswith(FOLD)):
            yield Line(number, offset, data if whole else b"")
        cut = not whole
        offset += len(data)


def hop_of(data: bytes) -> Hop | None:
    """The hop of a line; None where there is none."""
    try:
        return _HopLine.model_validate_json(data).root
    except ValidationError:
        return None


def folded_of(file: BinaryIO) -> Folded | None:
    """What the first line of a file of hops says; None where no hop was folded. The file is read
    from its begin, and then stands there again.

    Raises:
        OSError: it cannot be read.
        ValueError: it begins as a folded file, and is none.
    """
    line = file.readline(LONGEST_LINE)
    file.seek(0)
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
        raise ValueError(f"{file.name}:1: no record of hops") from error


def _number(line: bytes) -> int:
    found = _NUMBER.match(line)
    return int(found[1]) if found else 0
