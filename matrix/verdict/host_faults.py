"""What a fault of the host that an attempt ran in makes of its verdict. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from matrix.attempt import Attempt
from matrix.model import Expectation
from matrix.verdict.known_failures import apply_known_failures
from matrix.verdicts import Verdict


def apply_host_fault(
    attempt: Attempt, lost: str, reported: str, *more: str, expected: Sequence[Expectation]
) -> Attempt:
    """The fault comes before what else is wrong: a host that was ``lost``, which says how, is a
    crash, a line that its kernel ``reported`` a failure, unless it is known.

    Where both are empty, ``attempt`` stays as it was decided. Else its reason is the fault, with
    ``more`` behind it.
    """
    if lost:
        verdict, fault = Verdict.CRASH, f"the virtual host was lost: {lost}"
    elif reported:
        verdict, fault = Verdict.FAIL, f"the host's kernel reports: {reported}"
    else:
        return attempt
    blamed = replace(
        attempt,
        verdict=verdict,
        reason="; ".join(filter(None, (fault, *more))),
        observed=None,
        by_subtests=False,
        skip_cause=None,
    )
    return apply_known_failures(blamed, expected)
