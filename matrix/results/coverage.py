"""Whether enough of a run's cases really ran: what ``require`` and ``fail_on_skip`` ask. Pure.

What ran has a verdict other than ``skip``. Cases that the scenario leaves out with a reason, and
those of the group ``nodefault``, were not meant to run: they are neither counted nor missed.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from matrix.verdicts import SkipCause, Verdict

MOST_IDS = 3
"""Skipped cases that a sentence names."""


class Covered(NamedTuple):
    """What a case came to."""

    id: str
    verdict: Verdict | None
    """None while it has none."""
    skip_cause: SkipCause | None = None


def shortfalls(
    cases: Iterable[Covered],
    require: str,
    fail_on_skip: Sequence[str],
    *,
    asked_by: str,
    at_most_all: bool = False,
) -> Iterator[str]:
    """What is missing, in sentences; none where enough ran.

    Args:
        cases: those that are looked at.
        require: how many have to run, as ``20`` or ``80%``; empty for any number.
        fail_on_skip: patterns of causes or ids of which none may be skipped.
        asked_by: who asks, for the sentences.
        at_most_all: with fewer cases than ``require`` says, as where the command line leaves some
            of a scenario out, all of them will do.
    """
    if not require and not fail_on_skip:
        return
    wanted = [case for case in cases if not (case.skip_cause and case.skip_cause.intended)]
    skipped = [case for case in wanted if case.verdict is Verdict.SKIP]
    ran = len(wanted) - len(skipped) - sum(case.verdict is None for case in wanted)
    needed = required(require, len(wanted)) if require else 0
    if at_most_all:
        needed = min(needed, len(wanted))
    if ran < needed:
        yield f"{ran} of {len(wanted)} cases ran, but {asked_by} requires {require}" + (
            f", which is {needed}" if require.endswith("%") else ""
        )
    forbidden = [case.id for case in skipped if _matches(case, fail_on_skip)]
    if forbidden:
        more = len(forbidden) - MOST_IDS
        names = ", ".join(forbidden[:MOST_IDS]) + (f" and {more} more" if more > 0 else "")
        patterns = "" if "*" in fail_on_skip else f" for {', '.join(fail_on_skip)}"
        yield f"{asked_by} forbids skips{patterns}, but {names} did not run"


def required(require: str, total: int) -> int:
    """How many of ``total`` cases ``20`` or ``80%`` means."""
    if require.endswith("%"):
        return math.ceil(total * int(require[:-1]) / 100)
    return int(require)


def _matches(case: Covered, patterns: Sequence[str]) -> bool:
    texts = (case.id, case.skip_cause.value if case.skip_cause else "")
    return any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)
