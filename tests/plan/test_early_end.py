"""Which cases that are known to time out get less than their time."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.migrating import Migration
from matrix.model import Case, Expectation, RunSettings
from matrix.plan.decisions import Decision
from matrix.plan.early_end import early_limit, end_early, may_end_early
from matrix.verdicts import Verdict
from tests import make

TIMEOUT, STALL, PASS = Verdict.TIMEOUT, Verdict.STALL, Verdict.PASS


def known(**fields: Any) -> Expectation:
    given: dict[str, Any] = {"verdicts": (STALL, TIMEOUT), **fields}
    return Expectation("known.yaml:1", "a bug", ("*",), **given)


def case(timeout: float = 90.0) -> Case:
    return replace(make.case("access"), settings=RunSettings(timeout=timeout))


@pytest.mark.parametrize(
    ("expected", "longest_pass", "limit"),
    [
        ([], 1.0, None),
        ([known()], None, None),
        ([known()], 3.0, 6.0),
        ([known(known_limit=12.0)], None, 12.0),
        ([known(known_limit=12.0)], 3.0, 12.0),
        ([known(known_limit=12.0)], 10.0, 20.0),
        ([known(known_limit=12.0), known(known_limit=7.0)], None, 7.0),
        ([known(verdicts=(TIMEOUT, PASS))], 3.0, 6.0),
        ([known()], 50.0, None),
        ([known(known_limit=90.0)], None, None),
        ([known(seen=("dead loop",))], 3.0, None),
        ([known(seen=("dead loop",), known_limit=5.0)], None, 5.0),
        ([known(verdicts=(STALL,))], 3.0, None),
        ([known(verdicts=(Verdict.FAIL,))], 3.0, None),
        ([known(subtests=("a",))], 3.0, None),
        ([known(hops=("lost",))], 3.0, None),
    ],
)
def test_limits(
    expected: list[Expectation], longest_pass: float | None, limit: float | None
) -> None:
    assert early_limit(case(), expected, longest_pass) == limit


def test_a_guest_that_is_migrated_has_the_time_of_its_hops() -> None:
    migrated = replace(case(), migration=Migration())
    assert early_limit(migrated, [known(known_limit=5.0)], 1.0) is None


@given(st.none() | st.floats(0, 1e6), st.none() | st.floats(0.1, 1e6), st.floats(1, 1e6))
def test_nobody_gets_more_than_before_and_who_passed_has_time_to(
    longest: float | None, given_: float | None, timeout: float
) -> None:
    limit = early_limit(case(timeout), [known(known_limit=given_)], longest)
    if limit is not None:
        assert 0 <= limit < timeout
        assert longest is None or limit >= longest


def test_only_what_is_run_and_known_is_changed() -> None:
    hangs, passes = case(), replace(case(), id="other")
    late = replace(make.run(hangs), expected=(known(),))
    decisions: list[Decision] = [late, make.run(passes), make.skip(make.case("gone"))]
    assert [may_end_early(each) for each in decisions] == [True, False, False]
    ended = list(end_early(decisions, {hangs.id: 4.0, passes.id: 4.0}))
    assert ended == [replace(late, limit=8.0), *decisions[1:]]
