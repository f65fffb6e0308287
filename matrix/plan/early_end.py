"""Which cases that are known to time out are ended early, and when. Pure.

A guest that hangs as it is known to takes all its time to say so: of kvm-unit-tests under TCG that
is most of a run. It is told apart from one that works after less.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from matrix.model import Case, Expectation
from matrix.plan.decisions import Decision, Run
from matrix.verdicts import Verdict

MARGIN = 2.0
"""Times its longest pass that a case gets."""


def end_early(decisions: Iterable[Decision], passes: Mapping[str, float]) -> Iterator[Decision]:
    """The decisions, with the limits of cases that are known to time out.

    Args:
        decisions: as planned.
        passes: seconds of the longest known pass of cases, by id.
    """
    for decision in decisions:
        if isinstance(decision, Run) and decision.expected:
            limit = early_limit(decision.case, decision.expected, passes.get(decision.case.id))
            yield replace(decision, limit=limit)
        else:
            yield decision


def may_end_early(decision: Decision) -> bool:
    """Whether the case's known failures allow it; its passes may be of interest then."""
    return isinstance(decision, Run) and bool(_timeouts(decision.case, decision.expected))


def early_limit(
    case: Case, expected: Iterable[Expectation], longest_pass: float | None
) -> float | None:
    """Seconds after which a case is ended that is known to time out; None: its own time limit.

    It gets what an entry gives it (``known_limit``), and what twice its longest pass takes. Without
    either it may be one that needs all its time. Where an entry also asks how a hang looks
    (``seen``), only its own ``known_limit`` counts: less time may look otherwise.
    """
    known = _timeouts(case, expected)
    if not known:
        return None
    given = [each.known_limit for each in known if each.known_limit is not None]
    passing = MARGIN * longest_pass if longest_pass is not None else None
    if given:
        limit = max(min(given), passing or 0.0)
    elif passing is not None and not any(each.seen for each in known):
        limit = passing
    else:
        return None
    return limit if limit < case.timeout else None


def _timeouts(case: Case, expected: Iterable[Expectation]) -> list[Expectation]:
    """The entries by which the whole of a case may time out."""
    if case.migration is not None:
        return []  # its time is that of its hops
    return [
        each
        for each in expected
        if Verdict.TIMEOUT in each.verdicts and not each.hops and not each.subtests
    ]
