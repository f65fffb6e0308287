"""Which attempts a case still needs, from the verdicts of those that it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.model import RunSettings
from matrix.plan.attempts import MOST_UNTIL_FAIL, expected_attempts, most_attempts
from matrix.verdicts import Verdict

P, F, X, S, E = Verdict.PASS, Verdict.FAIL, Verdict.XFAIL, Verdict.SKIP, Verdict.ERROR


def made(settings: RunSettings, verdicts: list[Verdict]) -> list[Verdict]:
    """The attempts that are made where one after the other comes to ``verdicts``."""
    finished: dict[int, Verdict] = {}
    while startable := expected_attempts(settings, finished).startable:
        finished[startable[0]] = verdicts[len(finished)]
    assert list(finished) == list(range(1, len(finished) + 1))
    assert len(finished) <= most_attempts(settings)
    return list(finished.values())


@pytest.mark.parametrize(
    ("settings", "verdicts", "count"),
    [
        (RunSettings(), [F], 1),
        (RunSettings(repeat=3), [F, P, F], 3),
        (RunSettings(repeat=3, until_fail=True), [P, P, P], 3),
        (RunSettings(repeat=3, until_fail=True), [P, F], 2),
        (RunSettings(repeat=3, until_fail=True), [F], 1),
        (RunSettings(repeat=3, until_fail=True), [X, S, E], 3),
        (RunSettings(until_fail=True), [P] * MOST_UNTIL_FAIL, MOST_UNTIL_FAIL),
        (RunSettings(retries=2), [P], 1),
        (RunSettings(retries=2), [X], 1),
        (RunSettings(retries=2), [S], 1),
        (RunSettings(retries=2), [F, F, F], 3),
        (RunSettings(retries=2), [F, P], 2),
        (RunSettings(retries=2), [E, P], 2),
        (RunSettings(repeat=2, retries=1), [P, F], 2),
        (RunSettings(repeat=2, retries=1), [F, F, F], 3),
        (RunSettings(repeat=5, until_fail=True, retries=2), [P, F], 2),
        (RunSettings(repeat=5, until_fail=True, retries=2), [F, F, P], 3),
        (RunSettings(repeat=2, until_fail=True, retries=4), [F, F, F, F, F], 5),
    ],
)
def test_how_many_attempts_are_made(
    settings: RunSettings, verdicts: list[Verdict], count: int
) -> None:
    assert made(settings, verdicts) == verdicts[:count]
    assert len(verdicts) == count


def test_repeats_need_not_wait_for_each_other() -> None:
    assert expected_attempts(RunSettings(repeat=3), {}).startable == (1, 2, 3)
    assert expected_attempts(RunSettings(repeat=3), {2: F}).startable == (1, 3)


def test_repeats_until_a_failure_wait_for_each_other() -> None:
    settings = RunSettings(repeat=4, until_fail=True)
    assert expected_attempts(settings, {}) == ((1,), 3)
    assert expected_attempts(settings, {1: P}) == ((2,), 2)


SETTINGS = st.builds(
    RunSettings, repeat=st.integers(1, 5), retries=st.integers(0, 3), until_fail=st.booleans()
)


@given(SETTINGS, st.dictionaries(st.integers(1, 8), st.sampled_from(Verdict)))
def test_whatever_is_finished_it_comes_to_an_end(
    settings: RunSettings, finished: dict[int, Verdict]
) -> None:
    """A journal may have lost lines, or be a stranger's: no attempt is asked for twice."""
    finished = {n: v for n, v in finished.items() if n <= most_attempts(settings)}
    for _ in range(most_attempts(settings) + 1):
        startable = expected_attempts(settings, finished).startable
        assert not set(startable) & finished.keys()
        assert all(1 <= number <= most_attempts(settings) for number in startable)
        if not startable:
            break
        finished[startable[0]] = F
    assert expected_attempts(settings, finished).startable == ()
