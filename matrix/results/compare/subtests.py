"""Which subtests of a case changed: matched by name, merged over attempts. Pure functions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from matrix.results.case_record import CaseRecord
from matrix.results.compare.changes import (
    SUBTEST_VERDICTS,
    SubtestChange,
    classify,
    is_regression,
)
from matrix.results.outcome import WORST_FIRST
from matrix.verdicts import Subtest, SubtestVerdict, Verdict

_NUMBER = re.compile(r"0x[0-9a-fA-F]+|[0-9]+")


class _Listed(Enum):
    """Which of its subtests a side lists."""

    ALL = auto()
    NOT_PASSED = auto()
    """At least every one that did not pass."""
    SOME = auto()

    @classmethod
    def of(cls, result: CaseRecord) -> "_Listed":
        """What a side lists, by its counts."""
        listed = cls.ALL
        for attempt in result.attempts:
            counts = attempt.subtest_counts
            counted = sum(counts.values())
            if len(attempt.subtests) < counted or attempt.subtests_dropped:
                if len(attempt.not_passed) < counted - counts.get(SubtestVerdict.PASS, 0):
                    return cls.SOME
                listed = cls.NOT_PASSED
        return listed


_Key = tuple[str, int]
"""A name, and which of those of that name it is: guests print some several times."""


@dataclass(slots=True)
class _State:
    """A subtest over all attempts of one side."""

    name: str
    verdict: Verdict
    worst: Verdict
    message: str


def compare_subtests(a: CaseRecord, b: CaseRecord) -> tuple[SubtestChange, ...]:
    """The subtests that changed: in B's order, then those that only A has.

    Subtests of the same name are matched in their order; then those left over whose names differ
    in numbers only (``passed 5/6 tests``). Where a side dropped some of its subtests, those that it
    lacks are not told of; but where all that it dropped had passed, as in a side of which only
    results were kept, those that did not pass are compared, and what is not among them is taken to
    have passed. A new failure in a case that is known to fail is no regression.
    """
    if not a.attempts or not b.attempts or _subtests(a) == _subtests(b):
        return ()
    sides = (_Listed.of(a), _Listed.of(b))
    reduced = _Listed.NOT_PASSED in sides and _Listed.SOME not in sides
    before, after = _states(a, passes=not reduced), _states(b, passes=not reduced)
    _match_by_form(before, after)
    known = b.verdict is Verdict.XFAIL
    changes: list[SubtestChange] = []
    for key, state in after.items():
        former = before.get(key, _passed(state) if reduced else None)
        if former is not None or sides[0] is _Listed.ALL:
            changes += _change(former, state, known=known)
    for key, state in before.items():
        if key not in after and (reduced or sides[1] is _Listed.ALL):
            changes += _change(state, _passed(state) if reduced else None, known=known)
    return tuple(changes)


def _subtests(record: CaseRecord) -> list[tuple[Subtest, ...]]:
    return [attempt.subtests for attempt in record.attempts]


def _passed(state: _State) -> _State:
    return _State(state.name, Verdict.PASS, Verdict.PASS, "")


def _change(before: _State | None, after: _State | None, *, known: bool) -> Iterator[SubtestChange]:
    kind = classify(
        before.verdict if before else None,
        after.verdict if after else None,
    )
    shown = after or before
    if kind is None or shown is None:
        return
    verdicts = (before.verdict if before else None, after.verdict if after else None)
    regression = not known and is_regression(kind, *verdicts)
    yield SubtestChange(shown.name, kind, *verdicts, shown.message, regression)


def _states(result: CaseRecord, *, passes: bool) -> dict[_Key, _State]:
    """Every subtest of a side, with or without those that passed; ``flaky`` where its attempts
    differ."""
    states: dict[_Key, _State] = {}
    for attempt in result.attempts:
        seen: dict[str, int] = {}
        for subtest in attempt.subtests:
            if subtest.verdict is SubtestVerdict.PASS and not passes:
                continue
            number = seen[subtest.name] = seen.get(subtest.name, 0) + 1
            verdict = SUBTEST_VERDICTS[subtest.verdict]
            state = states.get((subtest.name, number))
            if state is None:
                new = _State(subtest.name, verdict, verdict, subtest.message)
                states[subtest.name, number] = new
                continue
            if verdict is not state.worst:
                state.verdict = Verdict.FLAKY
            if WORST_FIRST.index(verdict) < WORST_FIRST.index(state.worst):
                state.worst, state.message = verdict, subtest.message
    return states


def _match_by_form(before: dict[_Key, _State], after: dict[_Key, _State]) -> None:
    """Give those of A that are left over the keys of B's whose names differ in numbers only."""
    forms: dict[str, list[_Key]] = {}
    for key in after:
        if key not in before and (form := _NUMBER.sub("#", key[0])) != key[0]:
            forms.setdefault(form, []).append(key)
    if not forms:
        return
    for keys in forms.values():
        keys.reverse()
    for key in [key for key in before if key not in after]:
        matching = forms.get(_NUMBER.sub("#", key[0]))
        if matching:
            before[matching.pop()] = before.pop(key)
