"""What a case came to over all its attempts, and what a run exits with: pure functions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from matrix.attempt import Attempt
from matrix.errors import ExitCode
from matrix.model import Case, SkipCause, Subtest, SubtestVerdict, Verdict
from matrix.plan.decisions import Broken, Skip

WORST_FIRST = (
    Verdict.ERROR,
    Verdict.CRASH,
    Verdict.STALL,
    Verdict.TIMEOUT,
    Verdict.FAIL,
    Verdict.FLAKY,
    Verdict.XPASS,
    Verdict.XFAIL,
    Verdict.SKIP,
    Verdict.PASS,
)
"""The order in which verdicts are listed, and which attempt speaks for a case run several times."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What a case came to."""

    case: Case
    verdict: Verdict
    reason: str
    seconds: float
    """Of all attempts together."""
    attempts: tuple[Attempt, ...] = ()
    """In order; none for a case that the plan does not run."""
    skip_cause: SkipCause | None = None
    """Of a skip; None where that is not known."""

    @property
    def telling(self) -> Attempt | None:
        """The attempt that speaks for the case: the first of those with the worst verdict."""
        return min(self.attempts, key=lambda each: WORST_FIRST.index(each.verdict), default=None)

    @property
    def not_passed(self) -> tuple[Subtest, ...]:
        """The subtests of the telling attempt that did not pass, in order."""
        if self.telling is None:
            return ()
        return tuple(s for s in self.telling.subtests if s.verdict is not SubtestVerdict.PASS)

    @property
    def accelerator(self) -> str:
        """What the case ran under; empty where it did not."""
        return self.telling.accelerator if self.telling is not None else ""


def merge(case: Case, attempts: Iterable[Attempt]) -> CaseResult:
    """The result of a case from its attempts, of which there is at least one.

    Attempts that agree give their verdict, those that differ ``flaky``; but with an ``error``
    among them the case is an ``error``, because what failed was not the guest, and one that is
    known to fail sometimes is an ``xfail`` when it does.
    """
    ordered = tuple(sorted(attempts, key=lambda each: each.number))
    seconds = sum(each.seconds for each in ordered)
    verdict = merged_verdict(each.verdict for each in ordered)
    agreed = all(each.verdict is verdict for each in ordered)
    reason = ordered[0].reason if agreed else _outcomes(ordered)
    cause = ordered[0].skip_cause if verdict is Verdict.SKIP else None
    return CaseResult(case, verdict, reason, seconds, ordered, cause)


def unrun(decision: Skip | Broken) -> CaseResult:
    """The result of a case that the plan does not run."""
    match decision:
        case Skip():
            return CaseResult(
                decision.case, Verdict.SKIP, decision.reason, 0.0, skip_cause=decision.cause
            )
        case Broken():
            return CaseResult(decision.case, Verdict.ERROR, decision.reason, 0.0)
        case _:
            assert_never(decision)


def merged_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a case whose attempts, at least one, had these."""
    distinct = set(verdicts)
    if len(distinct) == 1:
        return distinct.pop()
    if distinct == {Verdict.PASS, Verdict.XFAIL}:
        # Beside a known failure a plain pass is only where it is known to fail sometimes.
        return Verdict.XFAIL
    return Verdict.ERROR if Verdict.ERROR in distinct else Verdict.FLAKY


def exit_code(
    counts: Mapping[Verdict, int], *, unfinished: bool, strict: bool, short: bool = False
) -> ExitCode:
    """What the command ends with after a run.

    Args:
        counts: how many cases came to each verdict.
        unfinished: cases of the plan were not run to their end.
        strict: a known failure that passed counts as not passed.
        short: fewer cases ran than had to.
    """
    found = {verdict for verdict, count in counts.items() if count}
    if unfinished:
        return ExitCode.INTERRUPTED
    if found <= {Verdict.SKIP}:
        return ExitCode.NOTHING_SELECTED
    if Verdict.ERROR in found:
        return ExitCode.ERROR
    if short or any(counts_as_failure(verdict, strict=strict) for verdict in found):
        return ExitCode.NOT_PASSED
    return ExitCode.OK


def counts_as_failure(verdict: Verdict, *, strict: bool) -> bool:
    """Whether a case with that verdict makes the run fail."""
    return not verdict.good or (strict and verdict is Verdict.XPASS)


def _outcomes(attempts: tuple[Attempt, ...]) -> str:
    """``2 of 3 attempts: pass; 1: fail (attempt 2: REASON)``."""
    parts = []
    of_all = f" of {len(attempts)} attempts"
    for verdict, count in Counter(each.verdict for each in attempts).most_common():
        first = next(each for each in attempts if each.verdict is verdict)
        why = f": {first.reason}" if first.reason else ""
        parts.append(f"{count}{of_all}: {verdict.value} (attempt {first.number}{why})")
        of_all = ""
    return "; ".join(parts)
