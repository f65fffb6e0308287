"""What is worth a look, also when all is well: what differs along an axis, what took long. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

from matrix.report.answer import TELLING_AXES, variant_words, varying_axes
from matrix.report.case_rows import AXES, Row
from matrix.report.pairing import ALONE
from matrix.results.outcome import WORST_FIRST
from matrix.verdicts import Verdict

MOST_DIFFERENCES = 5
"""Of an axis that are named; the page's comparison has all."""

SLOWEST = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """Cases that differ in one axis only and did not come to the same."""

    test: str
    variant: str
    cases: tuple[tuple[str, Row], ...]
    """(value of the axis, case), in the order of the plan."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """What differs between the values of one axis."""

    axis: str
    values: tuple[str, ...]
    """Of the axis."""
    compared: int
    """Groups of cases that differ in this axis only."""
    differ: int
    """Those of them that did not all come to the same."""
    shown: tuple[Difference, ...]
    """The worst of them."""


def contrasts(rows: Sequence[Row], groups: Mapping[str, Sequence[int]]) -> Iterator[Contrast]:
    """What differs along each axis but the architecture, whose tests are other programs.

    Args:
        rows: all cases.
        groups: what :func:`matrix.report.pairing.comparable` says of them.
    """
    for axis in ("run", *TELLING_AXES[:-1]):
        if axis == "arch" or axis not in groups:
            continue
        found: dict[int, list[Row]] = {}
        for row, group in zip(rows, groups[axis], strict=True):
            if group != ALONE and row.verdict is not None:
                found.setdefault(group, []).append(row)
        place = AXES.index(axis)
        compared = [each for each in found.values() if len({row.axes[place] for row in each}) > 1]
        differ = [each for each in compared if len({row.verdict for row in each}) > 1]
        worst = sorted(differ, key=lambda each: min(map(_badness, each)))[:MOST_DIFFERENCES]
        named = [name for name in varying_axes(rows) if name != axis]
        yield Contrast(
            axis=axis,
            values=tuple(
                dict.fromkeys(row.axes[place] or "none" for each in compared for row in each)
            ),
            compared=len(compared),
            differ=len(differ),
            shown=tuple(_difference(each, place, named) for each in worst),
        )


def slowest(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """The cases that took longest, with the words for their variants."""
    named = varying_axes(rows)
    found = nlargest(SLOWEST, (row for row in rows if row.seconds), key=lambda row: row.seconds)
    return [(row, variant_words(row, named)) for row in found]


def _difference(cases: Sequence[Row], place: int, named: Sequence[str]) -> Difference:
    first = cases[0]
    return Difference(
        test=first.axes[AXES.index("test")],
        variant=variant_words(first, named),
        cases=tuple((row.axes[place] or "none", row) for row in cases),
    )


def _badness(row: Row) -> int:
    return WORST_FIRST.index(row.verdict or Verdict.SKIP)
