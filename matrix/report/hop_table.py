"""The hops of one attempt, read from ``hops.jsonl`` and thinned out to what can be drawn.

A soak of a week has 100,000 hops: their numbers are kept in a few MiB, and of each stretch of hops
those with the extremes are drawn, so that no outlier is lost. Of the worst ones the sampled time
line is kept too.
"""

import heapq
import math
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from matrix.errors import HostError, UsageError
from matrix.migrating import Hop
from matrix.migration.folding import LONGEST_LINE, Folded, folded_of, hop_lines, hop_of
from matrix.results.files import open_regular

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
    "in_flight",
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
    folded: Folded | None = None
    """What the file's first line knows of hops that are not there, too."""
    complete: bool = True
    """Whether the file was read to its end."""

    def __len__(self) -> int:
        return len(self.good)

    def add(self, hop: Hop, offset: int) -> bool:
        """Take one hop in; False for one with a number that is none of a hop."""
        values = (getattr(hop, name) for name in self.numbers)
        try:
            numbers = [math.nan if value is None else float(value) for value in values]
        except OverflowError:
            return False
        for column, number in zip(self.numbers.values(), numbers, strict=True):
            column.append(number)
        for name, words in self.words.items():
            known = self.values[name]
            words.append(known.setdefault(str(getattr(hop, name) or ""), len(known)))
        self.hop_numbers.append(min(max(hop.number, 0), 2**53))
        self.good.append(hop.good)
        self.offsets.append(offset)
        return True

    def word(self, name: str, row: int) -> str:
        """What is said of a hop."""
        return list(self.values[name])[self.words[name][row]]


def read_hops(path: Path) -> HopTable | None:
    """Every hop of a file; None where there is no such regular file, or no hop in it.

    Lines that are no hop are counted, as the last one of a run that was killed may be cut off.
    """
    table = HopTable()
    try:
        with open_regular(path) as file:
            with suppress(ValueError):  # a stranger's: its other lines may be hops
                table.folded = folded_of(file)
            for line in hop_lines(file):
                if line.offset > LARGEST_FILE:
                    table.complete = False
                    break
                hop = hop_of(line.data)
                if hop is None or not table.add(hop, line.offset):
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
                if hop := hop_of(file.readline(LONGEST_LINE)):
                    yield row, hop
    except (UsageError, HostError, OSError):
        return


def _greatest(column: "array[float]", rows: range) -> int:
    """The row with the greatest number; the first where none is known."""
    return max(rows, key=lambda row: -math.inf if math.isnan(column[row]) else column[row])
