"""Latency distributions: what a guest's console prints of them, line by line.

The embedded ``timer`` guest prints, as ``cyclictest -h`` does, how many of its deadlines were met
how late, in buckets whose upper bounds are powers of two::

    INFO: timer: histogram: 12 below 4096 ns
"""

import re
from dataclasses import dataclass

_BUCKET = re.compile(
    r"^INFO: (\S.{0,60}?): histogram: (\d{1,12}) below (\d{1,20}) (ns|us|cycles)$", re.MULTILINE
)

MOST_BUCKETS = 80
"""Per histogram; one of 64-bit numbers by powers of two has 65."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """One distribution that a guest measured."""

    name: str
    unit: str
    buckets: tuple[tuple[int, int], ...]
    """(upper bound, exclusive; how many), in the order printed."""


def histograms(console: str) -> tuple[Histogram, ...]:
    """The histograms in a console's text, in order. What does not ascend starts another one."""
    found: list[tuple[str, str, list[tuple[int, int]]]] = []
    for match in _BUCKET.finditer(console):
        name, count, bound, unit = match[1], int(match[2]), int(match[3]), match[4]
        last = found[-1] if found else None
        if last is None or last[:2] != (name, unit) or last[2][-1][0] >= bound:
            found.append((name, unit, []))
        if len(found[-1][2]) < MOST_BUCKETS:
            found[-1][2].append((bound, count))
    return tuple(Histogram(name, unit, tuple(buckets)) for name, unit, buckets in found)
