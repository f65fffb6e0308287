"""Known failures: what they make of an attempt. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Protocol

from matrix.attempt import Attempt
from matrix.model import Expectation
from matrix.verdict.assists import HINT
from matrix.verdicts import KNOWABLE, Subtest, Verdict

KNOWN = "known: "
"""With this the reasons of ``xfail`` and ``xpass`` begin."""

_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?")

NAMES_SHOWN = 3
"""Failed subtests named that are not known."""


def apply_known_failures(attempt: Attempt, expected: Sequence[Expectation]) -> Attempt:
    """``attempt`` with its verdict and reason as they are in the light of known failures.

    A failure of which everything is known is ``xfail``, and a pass where a failure is known
    ``xpass``. A failure of another kind keeps its verdict and says so; skips and errors stay as
    they are.
    """
    expected = [each for each in expected if not each.hops]
    if not expected:
        return attempt
    if attempt.verdict is Verdict.PASS:
        return _passed(attempt, expected)
    if attempt.verdict not in KNOWABLE:
        return attempt
    known = covering(attempt, expected)
    if not known:
        reason = f"{attempt.reason}; {_otherwise(attempt, expected)}"
        return replace(attempt, reason=reason)
    reason = _reasons(known)
    if without_numbers(reason) != without_numbers(attempt.reason):
        reason += f" ({attempt.reason})"
    return replace(
        attempt, verdict=Verdict.XFAIL, observed=attempt.verdict, reason=f"{KNOWN}{reason}"
    )


def known_hops(bad: Sequence[str], expected: Sequence[Expectation]) -> dict[str, str]:
    """Which of the bad hops (``hop N: why``) are known, each with the reason that is given."""
    return {
        hop: each.reason
        for hop in bad
        for each in reversed(expected)  # the first one that knows it counts
        if any(fnmatchcase(hop.partition(": ")[2], pattern) for pattern in each.hops)
    }


def without_numbers(reason: str) -> str:
    """A reason as it is on every host and in every run: times and addresses differ."""
    return _NUMBERS.sub("#", reason)


class Told(Protocol):
    """An attempt, or its record."""

    @property
    def verdict(self) -> Verdict:
        """As :attr:`Attempt.verdict`, and so on."""
        ...

    @property
    def observed(self) -> Verdict | None: ...  # noqa: D102 - as above
    @property
    def reason(self) -> str: ...  # noqa: D102 - as above
    @property
    def subtests(self) -> Sequence[Subtest]: ...  # noqa: D102 - as above
    @property
    def by_subtests(self) -> bool: ...  # noqa: D102 - as above
    @property
    def failures(self) -> int: ...  # noqa: D102 - as above


def reason_of(attempt: Told, expected: Sequence[Expectation]) -> str:
    """Why an attempt failed to which known failures were applied: in their words where it is known,
    else as it was seen."""
    if attempt.verdict is Verdict.XFAIL:
        return _reasons(covering(attempt, expected)) or attempt.reason
    expected = [each for each in expected if not each.hops]
    reason = attempt.reason.removesuffix(HINT)
    if not expected or attempt.verdict not in KNOWABLE:
        return reason
    return reason.removesuffix(f"; {_otherwise(attempt, expected)}")


def covering(attempt: Told, expected: Sequence[Expectation]) -> tuple[Expectation, ...]:
    """The known failures that together account for all that went wrong in a failed attempt.

    Empty where something is left. The most telling come first: those that know every failed
    subtest, one alone or several together, then one that knows whatever failed. ``attempt`` may be
    as it was before or after :func:`apply_known_failures`.
    """
    fitting = _of_verdict(attempt, [each for each in expected if not each.hops])
    whole = next(((each,) for each in fitting if not each.subtests), ())
    if not _is_told_by_subtests(attempt):
        return whole
    names = _failed_names(attempt)
    if not names:  # it hung or died before any of them
        return whole or fitting[:1]
    for each in fitting:
        if each.subtests and all(_knows(each, name) for name in names):
            return (each,)
    together: dict[Expectation, None] = {}
    for name in names:
        knowing = next((each for each in fitting if _knows(each, name)), None)
        if knowing is None:
            return whole
        together.setdefault(knowing)
    return tuple(together)


def _passed(attempt: Attempt, expected: Sequence[Expectation]) -> Attempt:
    if any(Verdict.PASS in each.verdicts for each in expected):
        return attempt
    places = " and ".join(each.place for each in expected)
    reason = f"{KNOWN}{_reasons(expected)}; if that is over, remove {places}"
    return replace(attempt, verdict=Verdict.XPASS, observed=Verdict.PASS, reason=reason)


def _reasons(expected: Sequence[Expectation]) -> str:
    return "; ".join(dict.fromkeys(each.reason for each in expected))


def _of_verdict(attempt: Told, expected: Sequence[Expectation]) -> tuple[Expectation, ...]:
    verdict = attempt.observed or attempt.verdict
    return tuple(
        each for each in expected if verdict in each.verdicts and _is_seen(attempt.reason, each)
    )


def _is_seen(reason: str, expectation: Expectation) -> bool:
    patterns = expectation.seen
    return not patterns or any(fnmatchcase(reason, f"*{pattern}*") for pattern in patterns)


def _is_told_by_subtests(attempt: Told) -> bool:
    """Whether every subtest that failed is named in the attempt, and, of one that failed, whether
    nothing else went wrong."""
    if (attempt.observed or attempt.verdict) is Verdict.FAIL:
        return attempt.by_subtests
    return attempt.failures == sum(subtest.verdict.failed for subtest in attempt.subtests)


def _failed_names(attempt: Told) -> list[str]:
    names = (subtest.name for subtest in attempt.subtests if subtest.verdict.failed)
    return list(dict.fromkeys(names))


def _knows(expectation: Expectation, subtest: str) -> bool:
    return any(fnmatchcase(subtest, pattern) for pattern in expectation.subtests)


def _otherwise(attempt: Told, expected: Sequence[Expectation]) -> str:
    """How a failure differs from those that are known."""
    fitting = _of_verdict(attempt, expected)
    if not fitting:
        wanted = " or ".join(dict.fromkeys(v.value for each in expected for v in each.verdicts))
        places = " and ".join(each.place for each in expected)
        if any((attempt.observed or attempt.verdict) in each.verdicts for each in expected):
            return f"expected for another reason ({places})"
        return f"expected otherwise, as {wanted} ({places})"
    places = " and ".join(each.place for each in fitting)
    unknown = [
        name for name in _failed_names(attempt) if not any(_knows(each, name) for each in fitting)
    ]
    if not unknown:
        return f"more went wrong than the subtests that are expected to fail ({places})"
    listed = "; ".join(unknown[:NAMES_SHOWN])
    more = f"; and {len(unknown) - NAMES_SHOWN} more" if len(unknown) > NAMES_SHOWN else ""
    return f"not all of it is expected ({places}): {listed}{more}"
