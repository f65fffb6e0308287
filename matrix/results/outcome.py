"""What a case came to over all its attempts, and what a run exits with: pure functions."""

from collections.abc import Iterable, Mapping

from matrix.errors import ExitCode
from matrix.verdicts import Verdict

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
