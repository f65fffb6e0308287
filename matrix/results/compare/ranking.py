"""The largest changes of times and metrics, in a table of bounded size."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from matrix.results.compare.changes import CaseComparison, MeasuredChange, Sample
from matrix.results.printable import display_width, printable, shortened
from matrix.results.quantities import human
from matrix.results.segments import BLANK, Line, Style, line

MOST_ROWS = 20
"""How many changes are shown; ``--json`` has all."""

LONGEST_NAME = 40
"""Columns of a metric's name."""

MOST_PERCENT = 3
"""Beyond this factor per cent are hard to read."""

_Entry = tuple[float, int, str, MeasuredChange]


@dataclass(slots=True)
class Ranking:
    """Keeps the largest changes, whichever number is added."""

    count: int = 0
    _heap: list[_Entry] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, change: MeasuredChange, case: CaseComparison) -> None:
        """Take one change in."""
        self.count += 1
        # The earlier of equals is kept, and the changes themselves are never compared.
        entry = (change.size, -self.count, case.id, change)
        if len(self._heap) < MOST_ROWS:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def largest(self) -> list[tuple[str, MeasuredChange]]:
        """The ids of cases and their changes, the largest first."""
        ordered = sorted(self._heap, key=lambda each: (-each[0], -each[1]))
        return [(case_id, change) for _, _, case_id, change in ordered]

    def lines(self, title: str, width: int) -> Iterator[Line]:
        """The table under its title; nothing where there is no change."""
        if not self.count:
            return
        yield BLANK
        yield ((f"{title}: ", Style.HEADING), (f"{self.count:,}", Style.PLAIN))
        rows = self.largest()
        words = [measured_words(change) for _, change in rows]
        widest = max(map(display_width, words))
        for (case_id, change), text in zip(rows, words, strict=True):
            named = f"{shortened(change.name, LONGEST_NAME)}  " if change.name else ""
            row = f"  {text}{' ' * (widest - display_width(text))}  {named}"
            shown_id = printable(case_id)
            if display_width(row + shown_id) <= width:
                yield ((row, Style.PLAIN), (shown_id, Style.FAINT))
            else:
                yield ((row.rstrip(), Style.PLAIN),)
                yield ((" " * 10 + shown_id, Style.FAINT),)
        if self.count > len(rows):
            yield line(f"  … and {self.count - len(rows):,} more (see --json)", Style.FAINT)


def measured_words(change: MeasuredChange) -> str:
    """``2.1 s → 4.5 s  ×2.1  (medians of 5 and 5, spread 0.1)``; of one attempt of several hops
    ``(spread 0.1)``."""
    unit = printable(change.unit)
    words = f"{human(change.before.median, unit)} → {human(change.after.median, unit)}"
    words += f"  {factor_words(change)}"
    counts = (change.before.count, change.after.count)
    spread = max(change.before, change.after, key=_spread).spread
    if max(counts) > 1:
        words += f"  (medians of {counts[0]} and {counts[1]}, spread {human(spread, unit)})"
    elif spread > 0:
        words += f"  (spread {human(spread, unit)})"
    return words


def factor_words(change: MeasuredChange) -> str:
    """``×2.1`` for a time, and for a metric beyond three times; else ``+35 %``; empty from 0."""
    factor = change.factor
    if not math.isfinite(factor):
        return ""
    if not change.name or factor > MOST_PERCENT:
        return f"×{factor:.3g}"
    return f"{(factor - 1) * 100:+.3g} %"


def _spread(sample: Sample) -> float:
    return sample.spread
