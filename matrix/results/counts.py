"""What passed, of how many that ran, and how many were skipped: numbers that add up. Pure.

Every summary, table and report counts by :class:`Counts`, so that none takes a skip for coverage.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from matrix.results.outcome import WORST_FIRST
from matrix.verdicts import Verdict

RAN = tuple(
    verdict for verdict in reversed(WORST_FIRST) if verdict not in (Verdict.PASS, Verdict.SKIP)
)
"""Verdicts of cases that ran and did not simply pass, the worst last."""


@dataclass(slots=True)
class Counts:
    """Cases by their verdicts; ``passed`` + :meth:`others` = ``ran``, and
    ``ran`` + ``skipped`` + ``unfinished`` = ``total``."""

    verdicts: Counter[Verdict | None] = field(default_factory=Counter)
    """None: without a result."""
    reused: int = 0
    """Those that passed in an earlier run, and were not run again."""

    @classmethod
    def of(cls, verdicts: Iterable[Verdict | None]) -> "Counts":
        """The counts of cases with these verdicts."""
        return cls(Counter(verdicts))

    @property
    def passed(self) -> int:
        """Those that passed and were expected to."""
        return self.verdicts[Verdict.PASS]

    @property
    def skipped(self) -> int:
        """Those that did not run, or whose guest said that it had nothing to test."""
        return self.verdicts[Verdict.SKIP]

    @property
    def unfinished(self) -> int:
        """Those that have no result yet."""
        return self.verdicts[None]

    @property
    def total(self) -> int:
        """All of them."""
        return self.verdicts.total()

    @property
    def ran(self) -> int:
        """Those that have a result and were not skipped."""
        return self.total - self.skipped - self.unfinished

    @property
    def good(self) -> int:
        """Those that ran and do not make a run fail."""
        return sum(self.verdicts[each] for each in (Verdict.PASS, *RAN) if each.good)

    @property
    def worst(self) -> Verdict | None:
        """The worst verdict of those that ran; a skip does not hide a pass."""
        ran = [each for each in (Verdict.PASS, *RAN) if self.verdicts[each]]
        return ran[-1] if ran else Verdict.SKIP if self.skipped else None

    def others(self) -> Iterator[tuple[Verdict, int]]:
        """Of those that ran and did not simply pass, how many came to each verdict."""
        return ((each, self.verdicts[each]) for each in RAN if self.verdicts[each])

    def parts(self) -> Iterator[tuple[Verdict | None, str]]:
        """``9 of 12 passed``, ``2 xfail``, ``1 fail``, ``21 skipped``, ``4 unfinished``, each with
        the verdict that it is of; nothing of no case."""
        if self.ran:
            reused = f", {self.reused:,} of them reused" if self.reused else ""
            yield Verdict.PASS, f"{self.passed:,} of {self.ran:,} passed{reused}"
            yield from ((verdict, f"{count:,} {verdict.value}") for verdict, count in self.others())
        elif self.total:
            yield None, "none ran"
        if self.skipped:
            yield Verdict.SKIP, f"{self.skipped:,} skipped"
        if self.unfinished:
            yield None, f"{self.unfinished:,} unfinished"

    def document(self) -> dict[str, int]:
        """The numbers for other programs."""
        reused = {"reused": self.reused} if self.reused else {}
        return {
            "passed": self.passed,
            "ran": self.ran,
            "skipped": self.skipped,
            "unfinished": self.unfinished,
            **reused,
        }

    def words(self) -> str:
        """The parts in one line."""
        return ", ".join(text for _, text in self.parts())

    def brief(self) -> str:
        """The same without :meth:`others`: ``9 of 12 passed, 7 skipped``."""
        others = dict(self.others())
        return ", ".join(text for verdict, text in self.parts() if verdict not in others)

    def cell(self) -> str:
        """For a cell of a table: ``pass``, or of several cases ``fail 3/4, 7 skip``."""
        if self.total == 1 or self.worst is None:
            return self.worst.value if self.worst else "-"
        if not self.ran:
            return f"{self.skipped:,} skip"
        skipped = f", {self.skipped:,} skip" if self.skipped else ""
        return f"{self.worst.value} {self.passed:,}/{self.ran:,}{skipped}"
