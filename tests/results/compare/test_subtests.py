from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.results.case_record import CaseRecord, record_of, unrun
from matrix.results.compare.changes import ChangeKind, SubtestChange
from matrix.results.compare.subtests import compare_subtests
from matrix.verdicts import Verdict
from tests import make


def result(*attempts: list[str], verdict: str = "fail", dropped: int = 0) -> CaseRecord:
    made = [
        replace(make.attempt(verdict, subtests=lines, number=number), subtests_dropped=dropped)
        for number, lines in enumerate(attempts, start=1)
    ]
    return record_of(make.case(repeat=max(1, len(made))), made)


def changes(a: CaseRecord, b: CaseRecord) -> list[tuple[str, str]]:
    return [(each.kind.value, each.name) for each in compare_subtests(a, b)]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("PASS", "FAIL", "new-failure"),
        ("PASS", "XPASS", "new-failure"),
        ("SKIP", "FAIL", "new-failure"),
        ("KFAIL", "FAIL", "new-failure"),
        ("FAIL", "PASS", "fix"),
        ("XPASS", "PASS", "fix"),
        ("PASS", "SKIP", "new-skip"),
        ("SKIP", "PASS", "no-longer-skipped"),
        ("PASS", "XFAIL", "new-xfail"),
        ("FAIL", "KFAIL", "new-xfail"),
    ],
)
def test_what_became_of_a_subtest(before: str, after: str, kind: str) -> None:
    (change,) = compare_subtests(result([f"{before}: x: then"]), result([f"{after}: x: now"]))
    assert change.kind is ChangeKind(kind)
    assert change.message == "now"
    assert change.regression is (kind == "new-failure")


@pytest.mark.parametrize("same", [("FAIL", "XPASS"), ("XFAIL", "KFAIL"), ("PASS", "PASS")])
def test_what_means_the_same_is_no_change(same: tuple[str, str]) -> None:
    a, b = (result([f"{prefix}: x"]) for prefix in same)
    assert changes(a, b) == []


def test_known_failures_do_not_regress() -> None:
    known = result(["FAIL: x"], verdict="xfail")
    (change,) = compare_subtests(result(["PASS: x"]), known)
    assert change.kind is ChangeKind.NEW_FAILURE
    assert not change.regression


def test_subtests_of_one_name_are_matched_in_order() -> None:
    a = result(["PASS: x", "FAIL: x", "PASS: x"])
    b = result(["PASS: x", "FAIL: x", "FAIL: x"])
    assert changes(a, b) == [("new-failure", "x")]
    assert changes(a, result(["PASS: x", "FAIL: x"])) == [("only-a", "x")]
    assert changes(result(["PASS: x", "FAIL: x"]), a) == [("only-b", "x")]


def test_names_that_differ_in_numbers_match() -> None:
    a = result(["PASS: passed 6/6 tests", "PASS: at 0x1a", "PASS: cpu 1", "PASS: cpu 2"])
    b = result(["FAIL: passed 5/6 tests", "PASS: at 0xff", "PASS: cpu 2", "PASS: cpu 1"])
    assert changes(a, b) == [("new-failure", "passed 5/6 tests")]


def test_numbers_match_in_order_and_only_what_is_left() -> None:
    a = result(["PASS: x 1", "FAIL: x 2", "PASS: x 3"])
    b = result(["PASS: x 3", "PASS: x 4"])
    assert changes(a, b) == [("only-a", "x 2")]


def test_what_only_one_side_has() -> None:
    a, b = result(["FAIL: a", "PASS: c"]), result(["FAIL: b", "PASS: c"])
    found = compare_subtests(a, b)
    assert [(each.kind.value, each.name) for each in found] == [("only-b", "b"), ("only-a", "a")]
    assert not any(each.regression for each in found)


def test_dropped_subtests_are_not_missing() -> None:
    whole, cut = result(["PASS: a", "PASS: b"]), result(["FAIL: a"], dropped=1)
    assert changes(whole, cut) == [("new-failure", "a")]
    assert changes(cut, whole) == [("fix", "a")]


def test_attempts_that_differ_are_flaky() -> None:
    steady = result(["PASS: x"])
    shaky = result(["PASS: x: fine"], ["FAIL: x: lost one"], ["PASS: x: fine"])
    (change,) = compare_subtests(steady, shaky)
    assert (change.kind, change.after) == (ChangeKind.NEW_FLAKY, Verdict.FLAKY)
    assert change.message == "lost one"
    assert change.regression
    assert changes(shaky, steady) == [("fix", "x")]
    assert changes(shaky, shaky) == []


def test_a_case_that_did_not_run_has_none() -> None:
    ran, skipped = result(["PASS: x"]), unrun(make.skip(make.case()))
    assert changes(ran, skipped) == []
    assert changes(skipped, ran) == []


lines = st.lists(
    st.tuples(
        st.sampled_from(["PASS", "FAIL", "SKIP", "XFAIL", "XPASS", "KFAIL"]),
        st.sampled_from(["a", "b", "c", "n 1", "n 2", "n 3"]),
    ).map(": ".join),
    max_size=8,
)


@given(a=st.lists(lines, min_size=1, max_size=3), b=st.lists(lines, min_size=1, max_size=3))
def test_any_subtests_are_compared_alike_both_ways(a: Any, b: Any) -> None:
    one, other = result(*a), result(*b)

    there = [turned(each) for each in compare_subtests(one, other)]
    back = [shape(each) for each in compare_subtests(other, one)]
    assert sorted(there) == sorted(back)
    assert compare_subtests(one, one) == ()


def shape(change: SubtestChange) -> tuple[str, ...]:
    """Names that differ in numbers are one."""
    return (change.name[0], str(change.before), str(change.after))


def turned(change: SubtestChange) -> tuple[str, ...]:
    return (change.name[0], str(change.after), str(change.before))
