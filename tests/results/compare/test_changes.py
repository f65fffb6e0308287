import math
from itertools import product

import pytest

from matrix.results.compare.changes import (
    SUBTEST_VERDICTS,
    ChangeKind,
    MeasuredChange,
    Sample,
    classify,
    is_regression,
)
from matrix.verdicts import SkipCause, SubtestVerdict, Verdict

EVERY: list[Verdict | None] = [None, *Verdict]
BAD = [verdict for verdict in Verdict if not verdict.good]


@pytest.mark.parametrize(
    ("before", "after", "kind", "regression"),
    [
        ("pass", "fail", "new-failure", True),
        ("skip", "timeout", "new-failure", True),
        ("xfail", "fail", "new-failure", True),
        ("xpass", "crash", "new-failure", True),
        ("pass", "error", "new-failure", True),
        ("error", "fail", "new-failure", True),
        ("pass", "flaky", "new-flaky", True),
        ("error", "flaky", "new-flaky", True),
        ("fail", "timeout", "changed-failure", True),
        ("fail", "crash", "changed-failure", True),
        ("timeout", "stall", "changed-failure", True),
        ("flaky", "fail", "changed-failure", True),
        ("crash", "fail", "changed-failure", False),
        ("fail", "flaky", "changed-failure", False),
        ("fail", "pass", "fix", False),
        ("flaky", "pass", "fix", False),
        ("xfail", "pass", "fix", False),
        ("error", "pass", "fix", False),
        ("skip", "pass", "no-longer-skipped", False),
        ("pass", "skip", "new-skip", False),
        ("fail", "skip", "new-skip", False),
        ("pass", "xfail", "new-xfail", False),
        ("fail", "xfail", "new-xfail", False),
        ("xfail", "xpass", "new-xpass", False),
        ("xpass", "pass", "no-longer-xpass", False),
        ("fail", None, "only-a", False),
        (None, "fail", "only-b", False),
    ],
)
def test_what_became_of_a_verdict(
    before: str | None, after: str | None, kind: str, regression: bool
) -> None:
    one, other = (Verdict(each) if each else None for each in (before, after))
    assert classify(one, other) is ChangeKind(kind)
    assert is_regression(ChangeKind(kind), one, other) is regression


def test_what_ran_and_has_nothing_to_run_on_is_lost_coverage() -> None:
    lost = {SkipCause.NO_QEMU, SkipCause.NO_BUILD, SkipCause.NO_ACCELERATOR}
    for before, cause in product(Verdict, (None, *SkipCause)):
        ran = before not in (Verdict.SKIP, Verdict.ERROR)
        kind = classify(before, Verdict.SKIP, cause)
        assert (kind is ChangeKind.LOST_COVERAGE) is (ran and cause in lost)


def test_only_what_is_the_same_is_no_change() -> None:
    unchanged = [pair for pair in product(EVERY, EVERY) if classify(*pair) is None]
    assert unchanged == [(verdict, verdict) for verdict in EVERY]


def test_regressions_end_badly_and_never_both_ways() -> None:
    def regression(before: Verdict | None, after: Verdict | None) -> bool:
        return is_regression(classify(before, after), before, after)

    for before, after in product(EVERY, EVERY):
        if regression(before, after):
            assert after in BAD
            # An error tells nothing of the guest: what comes before or after it is new.
            assert not regression(after, before) or Verdict.ERROR in (before, after)


def test_what_is_good_becoming_bad_is_always_one() -> None:
    for before, after in product(Verdict, BAD):
        if before.good:
            assert is_regression(classify(before, after), before, after)


def test_every_prefix_has_a_verdict() -> None:
    assert set(SUBTEST_VERDICTS) == set(SubtestVerdict)
    assert SUBTEST_VERDICTS[SubtestVerdict.XPASS] is Verdict.FAIL


@pytest.mark.parametrize(
    ("before", "after", "factor", "size"),
    [(2, 3, 1.5, 0.5), (3, 2, 2 / 3, 0.5), (0, 1, math.inf, math.inf), (1, 0, 0, math.inf)],
)
def test_factor_and_size(before: float, after: float, factor: float, size: float) -> None:
    change = MeasuredChange("x", "ns", Sample(before, 0, 1), Sample(after, 0, 1))
    assert (change.factor, change.size) == (factor, size)
