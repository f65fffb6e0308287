import pytest

from matrix.results.compare.changes import CaseComparison, ChangeKind, Side, SubtestChange
from matrix.results.compare.words import (
    KIND_WORDS,
    counted,
    subtest_words,
    telling_reason,
    telling_subtests,
    verdicts,
)
from matrix.verdicts import Verdict


def case(
    kind: ChangeKind | None = None,
    a: Verdict | None = Verdict.PASS,
    b: Verdict | None = Verdict.FAIL,
    subtests: tuple[SubtestChange, ...] = (),
) -> CaseComparison:
    one, other = (
        Side("id", verdict, f"{name}'s reason", 1, "", "", "", "")
        for name, verdict in (("A", a), ("B", b))
    )
    return CaseComparison("s", "t", "v", one, other, kind, subtests=subtests)


def subtest(kind: ChangeKind, after: Verdict | None, *, regression: bool = False) -> SubtestChange:
    return SubtestChange(f"{kind}-{after}", kind, None, after, "", regression)


def test_every_kind_has_words() -> None:
    assert set(KIND_WORDS) == set(ChangeKind)


def test_verdicts() -> None:
    assert verdicts(case()) == "pass → fail"
    assert verdicts(case(a=Verdict.FAIL)) == "fail"
    assert verdicts(case(a=None)) == "none → fail"
    assert verdicts(case(a=None, b=None)) == ""


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ChangeKind.NEW_FAILURE, "B's reason"),
        (ChangeKind.FIX, "was: A's reason"),
        (ChangeKind.NO_LONGER_SKIPPED, "was: A's reason"),
        (ChangeKind.ONLY_A, "A's reason"),
        (ChangeKind.ONLY_B, "B's reason"),
        (None, "B's reason"),
    ],
)
def test_the_reason_that_explains_a_change(kind: ChangeKind | None, reason: str) -> None:
    assert telling_reason(case(kind)) == reason


def test_subtests_that_are_told_regressions_first() -> None:
    regression = subtest(ChangeKind.NEW_FAILURE, Verdict.FAIL, regression=True)
    fix = subtest(ChangeKind.FIX, Verdict.PASS)
    new_failing = subtest(ChangeKind.ONLY_B, Verdict.FAIL)
    new_passing = subtest(ChangeKind.ONLY_B, Verdict.PASS)
    gone = subtest(ChangeKind.ONLY_A, None)
    changes = (gone, new_passing, fix, new_failing, regression)
    assert telling_subtests(case(subtests=changes)) == [regression, fix, new_failing]


def test_a_subtest_in_words() -> None:
    change = SubtestChange("x", ChangeKind.FIX, Verdict.FAIL, Verdict.PASS, "at last", False)
    assert subtest_words(change) == "fail → pass  x: at last"
    assert subtest_words(subtest(ChangeKind.ONLY_A, None)) == "none → none  only-a-None"


def test_counts() -> None:
    assert [counted(number, "case") for number in (0, 1, 1200)] == [
        "0 cases",
        "1 case",
        "1,200 cases",
    ]
