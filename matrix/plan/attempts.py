"""How often a case is run: repeats, repeats until a failure, and retries. Pure.

Repeats are made whatever they come to, several at a time. With ``until_fail`` they are made one
after the other, and end with the first attempt that does not pass. Retries follow when these are
over and no attempt of the case has passed; they end with the first that does. So a case whose
verdict is known to change is not tried again, and one that failed and then passed is flaky.
"""

from collections.abc import Mapping
from typing import NamedTuple

from matrix.model import RunSettings
from matrix.verdicts import Verdict

MOST_UNTIL_FAIL = 1000
"""Attempts with ``until_fail`` where ``repeat`` does not say how many."""


class Expected(NamedTuple):
    """What is left of a case, as far as it can be known."""

    startable: tuple[int, ...]
    """Numbers of the attempts that need not wait for another one."""
    later: int
    """How many more there will be after these, if they pass."""


def repeats(settings: RunSettings) -> int:
    """How many attempts there are at most, without retries."""
    if settings.until_fail and settings.repeat == 1:
        return MOST_UNTIL_FAIL
    return settings.repeat


def most_attempts(settings: RunSettings) -> int:
    """How many attempts there are at most."""
    # A repeat until a failure that is retried has failed at its first attempt: else one passed.
    base = 1 if settings.until_fail else settings.repeat
    return max(repeats(settings), base + settings.retries)


def expected_attempts(settings: RunSettings, finished: Mapping[int, Verdict]) -> Expected:
    """What is left of a case, given the verdicts of its finished attempts by their number."""
    if settings.until_fail:
        left = repeats(settings) - len(finished)
        if left > 0 and all(verdict.good for verdict in finished.values()):
            return Expected((_first_free(finished),), left - 1)
        base = 1
    else:
        base = settings.repeat
        missing = tuple(number for number in range(1, base + 1) if number not in finished)
        if missing:
            return Expected(missing, 0)
    tried_again = len(finished) - base
    if tried_again < settings.retries and not any(verdict.good for verdict in finished.values()):
        return Expected((_first_free(finished),), 0)
    return Expected((), 0)


def _first_free(finished: Mapping[int, Verdict]) -> int:
    return next(number for number in range(1, len(finished) + 2) if number not in finished)
