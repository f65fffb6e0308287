"""Which of several things in a row, the first good and the last bad, is the first that is bad.

Pure: what is tested, and how, is the caller's. Of commits ``git bisect`` chooses; this is for
installed QEMUs, and for what both have in common: the rule by which a case that fails now and then
is repeated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_TRIES = 30
"""Times that the bad end is run at most until it fails."""
PASSES_PER_FAILURE = 3
"""Of a case that fails once in k times, 3k passes in a row have a chance of e^-3, 5 %."""


class Answer(StrEnum):
    """What a version came to."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"
    """It cannot be tested: it does not build, or its QEMU does not start."""


def passes_needed(failed_at: int) -> int:
    """How many passes in a row make a version good, where the bad end failed at its ``failed_at``th
    time: one where that was the first, else :data:`PASSES_PER_FAILURE` for each."""
    return 1 if failed_at <= 1 else PASSES_PER_FAILURE * failed_at


@dataclass(frozen=True, slots=True)
class Found:
    """The end of a bisection."""

    first_bad: str
    suspects: tuple[str, ...] = ()
    """Those before it that could not be tested: one of them may be the first."""


def first_bad(names: Sequence[str], test: Callable[[str], Answer]) -> Found:
    """Halve until a good one and a bad one have none between them that can be tested.

    Args:
        names: two or more in order; the first is good and the last is bad.
        test: tests one of the others; none is tested twice.
    """
    good, bad = 0, len(names) - 1
    skipped: set[int] = set()
    while left := [index for index in range(good + 1, bad) if index not in skipped]:
        middle = left[len(left) // 2]
        match test(names[middle]):
            case Answer.GOOD:
                good = middle
            case Answer.BAD:
                bad = middle
            case Answer.SKIP:
                skipped.add(middle)
    return Found(names[bad], tuple(names[index] for index in range(good + 1, bad)))
