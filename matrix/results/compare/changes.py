"""The words of a comparison: what may have changed in a case, a subtest, a time or a metric."""

import math
from dataclasses import dataclass
from enum import StrEnum

from matrix.results.outcome import WORST_FIRST
from matrix.verdicts import SkipCause, SubtestVerdict, Verdict


class ChangeKind(StrEnum):
    """How a verdict of A became another one in B."""

    NEW_FAILURE = "new-failure"
    """Failed, timed out, stalled, crashed or ended in an error, and did not before."""
    NEW_FLAKY = "new-flaky"
    """Its verdict changes between attempts, and it did not fail before."""
    CHANGED_FAILURE = "changed-failure"
    """Bad on both sides, in another way."""
    LOST_COVERAGE = "lost-coverage"
    """Ran, and is skipped now for want of a QEMU, a build or an accelerator."""
    NEW_SKIP = "new-skip"
    NO_LONGER_SKIPPED = "no-longer-skipped"
    """Passes now."""
    FIX = "fix"
    """Passes now, and did not."""
    NEW_XFAIL = "new-xfail"
    """Fails as the expectations of B say it does."""
    NEW_XPASS = "new-xpass"
    """Passes although the expectations of B say that it fails."""
    NO_LONGER_XPASS = "no-longer-xpass"
    """Passes as before, and nobody expects it to fail any more."""
    ONLY_A = "only-a"
    """B has no result of it."""
    ONLY_B = "only-b"
    """A has no result of it."""


SUBTEST_VERDICTS = {
    SubtestVerdict.PASS: Verdict.PASS,
    SubtestVerdict.FAIL: Verdict.FAIL,
    SubtestVerdict.SKIP: Verdict.SKIP,
    SubtestVerdict.XFAIL: Verdict.XFAIL,
    SubtestVerdict.XPASS: Verdict.FAIL,
    SubtestVerdict.KFAIL: Verdict.XFAIL,
}
"""What a guest's prefix means, so that subtests are compared as cases are."""


def classify(
    before: Verdict | None, after: Verdict | None, skip_cause: SkipCause | None = None
) -> ChangeKind | None:
    """What became of a verdict; None for a side that has none.

    ``skip_cause`` is why it is skipped after, where it is and that is known.

    An ``error`` in A tells nothing of the guest, so what is bad after it is a new failure.

    Returns:
        The change, or None where there is none.
    """
    if before is after:
        return None
    if before is None:
        return ChangeKind.ONLY_B
    match after:
        case None:
            return ChangeKind.ONLY_A
        case Verdict.PASS:
            return _now_passing(before)
        case Verdict.SKIP:
            lost = skip_cause is not None and skip_cause.loses_coverage
            ran = before is not Verdict.ERROR
            return ChangeKind.LOST_COVERAGE if lost and ran else ChangeKind.NEW_SKIP
        case Verdict.XFAIL:
            return ChangeKind.NEW_XFAIL
        case Verdict.XPASS:
            return ChangeKind.NEW_XPASS
        case _ if not before.good and before is not Verdict.ERROR:
            return ChangeKind.CHANGED_FAILURE
        case Verdict.FLAKY:
            return ChangeKind.NEW_FLAKY
        case _:
            return ChangeKind.NEW_FAILURE


def is_regression(kind: ChangeKind | None, before: Verdict | None, after: Verdict | None) -> bool:
    """Whether a change makes ``--fail-on-regression`` exit 1.

    A new failure does, and a failure that became worse, in the order flaky, fail, timeout, stall,
    crash, error. What only one side has does not: there is nothing to compare it with. Lost
    coverage is counted apart.
    """
    if kind in (ChangeKind.NEW_FAILURE, ChangeKind.NEW_FLAKY):
        return True
    if kind is not ChangeKind.CHANGED_FAILURE or before is None or after is None:
        return False
    return WORST_FIRST.index(after) < WORST_FIRST.index(before)


def _now_passing(before: Verdict) -> ChangeKind:
    if before is Verdict.SKIP:
        return ChangeKind.NO_LONGER_SKIPPED
    if before is Verdict.XPASS:
        return ChangeKind.NO_LONGER_XPASS
    return ChangeKind.FIX


@dataclass(frozen=True, slots=True)
class Side:
    """What one side says of a case."""

    id: str
    verdict: Verdict | None
    """None: the case is planned and has no result."""
    reason: str
    attempts: int
    accelerator: str
    """What it ran under; empty where it did not."""
    qemu_version: str
    """Of the QEMU for its architecture; empty where the run does not say."""
    suite_revision: str
    artifacts: str
    """Folder of the attempt that speaks for it, relative to the run; empty where there is none."""
    skip_cause: SkipCause | None = None
    reused: bool = False
    """The result is that of an earlier run: nothing was measured in this one."""
    """Of a skip; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same on both sides; empty where a side lacks it."""

    what: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class SubtestChange:
    """One subtest that changed."""

    name: str
    """In B, where it is there; the numbers in it may differ from A's."""
    kind: ChangeKind
    before: Verdict | None
    """``flaky`` where attempts of the same side differ."""
    after: Verdict | None
    message: str
    """What the guest said with it in B, where it is there."""
    regression: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """What several attempts measured."""

    median: float
    spread: float
    """Scaled median absolute deviation, an estimate of the standard deviation that outliers do
    not move; 0 for one attempt, of which the noise is unknown. At least the standard error of the
    values themselves, where they are medians of hops."""
    count: int


@dataclass(frozen=True, slots=True)
class MeasuredChange:
    """A time or a metric that changed by more than the thresholds and the noise."""

    name: str
    """Of the metric; empty for the time of an attempt."""
    unit: str
    before: Sample
    after: Sample

    @property
    def factor(self) -> float:
        """After by before: above 1 is more (slower, for a time); infinite from 0."""
        before, after = self.before.median, self.after.median
        return after / before if before else math.inf

    @property
    def repeated(self) -> bool:
        """Whether its noise is known: from several attempts, or from the hops of one."""
        return any(side.count > 1 or side.spread > 0 for side in (self.before, self.after))

    @property
    def size(self) -> float:
        """How far it went, the same whichever side is A: the difference by the smaller value."""
        before, after = self.before.median, self.after.median
        smaller = min(abs(before), abs(after))
        return abs(after - before) / smaller if smaller else math.inf


@dataclass(frozen=True, slots=True)
class CaseComparison:
    """One case on both sides, one of which may lack it."""

    scenario: str
    test: str
    variant: str
    """Its label, without the axis that is compared."""
    a: Side | None
    """None: the side's plan does not have it."""
    b: Side | None
    kind: ChangeKind | None = None
    regression: bool = False
    """Of the case's own verdict."""
    subtests: tuple[SubtestChange, ...] = ()
    seconds: MeasuredChange | None = None
    """The time of an attempt."""
    metrics: tuple[MeasuredChange, ...] = ()
    differences: tuple[Difference, ...] = ()
    """How the case itself was run otherwise: accelerator, arguments, …"""

    @property
    def changed(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.kind or self.subtests or self.seconds or self.metrics)

    @property
    def regressed(self) -> bool:
        """Whether it, or a subtest of it, makes ``--fail-on-regression`` exit 1."""
        return self.regression or any(each.regression for each in self.subtests)

    @property
    def id(self) -> str:
        """Its id in B, or in A where B lacks it or has one case in place of the whole suite."""
        without_build = self.b is None or self.b.skip_cause is SkipCause.NO_BUILD
        side = (self.a or self.b) if without_build else self.b
        return side.id if side else ""
