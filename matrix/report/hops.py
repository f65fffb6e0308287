"""The hops of one attempt, read from ``hops.jsonl`` and thinned out to what can be drawn.

A soak of a week has 100,000 hops: their numbers are kept in a few MiB, and of each stretch of hops
those with the extremes are drawn, so that no outlier is lost. Of the worst ones the sampled time
line is kept too.
"""

import heapq
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from matrix.errors import HostError, UsageError
from matrix.migrating import Hop
from matrix.results.files import open_regular

HOPS_FILE = "hops.jsonl"

LONGEST_LINE = 8 * 2**20
"""Bytes; a hop with all its samples takes some KiB."""

LARGEST_FILE = 2**34
"""Bytes; what follows is not read, and the page says so."""

QUANTITIES = (
    "begun",
    "seconds",
    "downtime",
    "stop_to_resume",
    "blackout",
    "total_time",
    "clock_jump",
    "transferred",
    "passes",
    "throughput",
)
"""The numbers of a hop that are drawn; fields of :class:`matrix.migrating.Hop`."""

WORDS = ("strategy", "transport", "source", "destination", "machine", "outcome", "fault")
"""What is said of a hop in words; each value is written once."""

EXTREMES = ("downtime", "stop_to_resume", "blackout", "total_time")
"""Of each stretch of hops those with the greatest of these are drawn."""

WORST = 6
"""Of each of the extremes that many hops keep their time line; so do as many of the first."""

MOST_BAD = 30
"""Hops that are not good and keep their time line."""


@dataclass(slots=True)
class HopTable:
    """The numbers of all hops of an attempt, a column each; NaN for what nobody said."""

    numbers: dict[str, "array[float]"] = field(
        default_factory=lambda: {name: array("d") for name in QUANTITIES}
    )
    hop_numbers: "array[int]" = field(default_factory=lambda: array("q"))
    good: bytearray = field(default_factory=bytearray)
    words: dict[str, "array[int]"] = field(
        default_factory=lambda: {name: array("l") for name in WORDS}
    )
    """Numbers into ``values``."""
    values: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in WORDS})
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    """Where each line begins."""
    unusable: int = 0
    """Lines that are no hop."""
    folded: bool = False
    """Whether there are hops of which only the file's first line knows."""
    complete: bool = True
    """Whether the file was read to its end."""

    def __len__(self) -> int:
        return len(self.good)

    def add(self, hop: Hop, offset: int) -> None:
        """Take one hop in."""
        for name, column in self.numbers.items():
            value = getattr(hop, name)
            column.append(math.nan if value is None else float(value))
        for name, words in self.words.items():
            known = self.values[name]
            words.append(known.setdefault(str(getattr(hop, name) or ""), len(known)))
        self.hop_numbers.append(min(max(hop.number, 0), 2**53))
        self.good.append(hop.good)
        self.offsets.append(offset)

    def word(self, name: str, row: int) -> str:
        """What is said of a hop."""
        return list(self.values[name])[self.words[name][row]]


def read_hops(path: Path) -> HopTable | None:
    """Every hop of a file; None where there is no such regular file, or no hop in it.

    Lines that are no hop are counted, as the last one of a run that was killed may be cut off.
    """
    table = HopTable()
    adapter = _adapter()
    try:
        with open_regular(path) as file:
            for offset, line in _lines(file, table):
                try:
                    table.add(adapter.validate_json(line), offset)
                except (ValidationError, OverflowError):
                    table.unusable += 1
    except (UsageError, HostError, OSError):
        return None
    return table if len(table) else None


def thinned(table: HopTable, most: int) -> list[int]:
    """The rows to draw, at most about ``most``, in order: all, or of every stretch the extremes.

    The first and the last hop are always among them; so is every hop that is not good, up to a
    quarter of ``most``.
    """
    total = len(table)
    if total <= most:
        return list(range(total))
    bad = [row for row, good in enumerate(table.good) if not good]
    kept = {0, total - 1, *bad[: most // 4]}
    stretches = max(1, (most - len(kept)) // (len(EXTREMES) + 1))
    length = math.ceil(total / stretches)
    for begin in range(0, total, length):
        rows = range(begin, min(begin + length, total))
        kept.add(begin)
        kept.update(_greatest(table.numbers[name], rows) for name in EXTREMES)
    return sorted(kept)


def telling_rows(table: HopTable) -> list[int]:
    """The rows whose time lines are shown: the first, those not good, and the worst of each."""
    rows = dict.fromkeys(range(min(WORST, len(table))))
    rows.update(dict.fromkeys([row for row, good in enumerate(table.good) if not good][:MOST_BAD]))
    for name in EXTREMES:
        column = table.numbers[name]
        known = (row for row in range(len(table)) if not math.isnan(column[row]))
        rows.update(dict.fromkeys(heapq.nlargest(WORST, known, key=column.__getitem__)))
    return sorted(rows)


def whole_hops(path: Path, table: HopTable, rows: list[int]) -> Iterator[tuple[int, Hop]]:
    """The rows read again with their events and samples; none that has changed meanwhile."""
    try:
        with open_regular(path) as file:
            for row in rows:
                file.seek(table.offsets[row])
                try:
                    hop = _adapter().validate_json(file.readline(LONGEST_LINE))
                except ValidationError:
                    continue
                yield row, hop
    except (UsageError, HostError, OSError):
        return


def _lines(file: BinaryIO, table: HopTable) -> Iterator[tuple[int, bytes]]:
    """Each line with its offset; longer ones than a hop's are passed over in pieces."""
    offset, cut = 0, False
    while line := file.readline(LONGEST_LINE):
        whole = line.endswith(b"\n") or len(line) < LONGEST_LINE
        if offset == 0 and line.startswith(b'{"folded":'):
            table.folded = True
        elif whole and not cut and line.strip():
            yield offset, line
        elif not cut and not whole:
            table.unusable += 1
        cut = not whole
        offset += len(line)
        if offset > LARGEST_FILE:
            table.complete = False
            return


def _greatest(column: "array[float]", rows: range) -> int:
    """The row with the greatest number; the first where none is known."""
    return max(rows, key=lambda row: -math.inf if math.isnan(column[row]) else column[row])


@cache
def _adapter() -> TypeAdapter[Hop]:
    return TypeAdapter(Hop)
