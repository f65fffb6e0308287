import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.migrating import MigrationSummary, Statistic
from matrix.results.case_record import record_of
from matrix.results.compare.changes import MeasuredChange
from matrix.results.compare.measured import Thresholds, compare_metrics, compare_seconds, sample
from tests import make


def timed(*seconds: float, verdict: str = "pass") -> Any:
    attempts = [
        make.attempt(verdict, seconds=each, number=number)
        for number, each in enumerate(seconds, start=1)
    ]
    return record_of(make.case(repeat=len(seconds)), attempts)


def measured(*attempts: tuple[tuple[str, float, str], ...]) -> Any:
    made = [
        make.attempt(metrics=metrics, number=number)
        for number, metrics in enumerate(attempts, start=1)
    ]
    return record_of(make.case(repeat=len(made)), made)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ([10.0], [15.0], True),
        ([10.0], [14.9], False),
        ([0.1], [1.0], False),  # ten times, but no second
        ([0.1], [1.1], True),
        ([15.0], [10.0], True),
        ([2.0, 2.1, 2.2], [6.0, 6.1, 6.2], True),
        ([2.0, 2.1, 2.2], [4.0, 6.1, 9.0], False),  # it scatters by more than it moved
        ([2.0, 2.1, 60.0], [6.0, 6.1, 0.1], True),  # outliers do not count
        ([2.0], [6.0, 6.1, 6.2], True),
    ],
)
def test_the_rule_for_times(before: list[float], after: list[float], changed: bool) -> None:
    change = compare_seconds(timed(*before), timed(*after), Thresholds())
    assert (change is not None) is changed
    back = compare_seconds(timed(*after), timed(*before), Thresholds())
    assert (back is not None) is changed


def test_another_factor() -> None:
    a, b = timed(10.0), timed(25.0)
    assert compare_seconds(a, b, Thresholds(factor=2.5)) is not None
    assert compare_seconds(a, b, Thresholds(factor=2.6)) is None


@pytest.mark.parametrize("verdict", ["skip", "timeout", "stall", "crash", "error"])
def test_the_time_of_what_did_not_complete_means_nothing(verdict: str) -> None:
    a, b = (timed(seconds, verdict=verdict) for seconds in (1.0, 90.0))
    assert compare_seconds(a, b, Thresholds()) is None


def test_times_of_different_verdicts_are_not_compared() -> None:
    a, b = timed(1.0), timed(90.0, verdict="fail")
    assert compare_seconds(a, b, Thresholds()) is None


def test_only_completed_attempts_count() -> None:
    attempts = [make.attempt(seconds=1.0), make.attempt("timeout", seconds=90.0, number=2)]
    a = record_of(make.case(repeat=2), attempts)
    assert compare_seconds(a, a, Thresholds()) is None
    b = record_of(make.case(repeat=2), [make.attempt(seconds=4.0), attempts[1]])
    change = compare_seconds(a, b, Thresholds())
    assert change is not None
    assert (change.before.median, change.after.median) == (1.0, 4.0)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (100.0, 121.0, True),
        (100.0, 120.0, False),
        (121.0, 100.0, True),
        (-100.0, 100.0, True),
        (0.0, 0.001, True),
        (0.0, 0.0, False),
        (math.nan, 1.0, False),
        (1.0, math.inf, False),
        (1.7e308, -1.7e308, True),
    ],
)
def test_the_rule_for_metrics(before: float, after: float, changed: bool) -> None:
    a, b = (measured((("x", each, "ns"),)) for each in (before, after))
    assert bool(compare_metrics(a, b, Thresholds())) is changed
    assert bool(compare_metrics(b, a, Thresholds())) is changed


def test_other_units_are_other_metrics() -> None:
    a, b = measured((("x", 1.0, "ns"),)), measured((("x", 9.0, "us"),))
    assert compare_metrics(a, b, Thresholds()) == ()


def test_a_metric_on_one_side_only_is_no_change() -> None:
    a, b = measured((("x", 1.0, "ns"),)), measured((("y", 9.0, "ns"),))
    assert compare_metrics(a, b, Thresholds()) == ()


def test_metrics_of_the_same_name_are_told_apart() -> None:
    a = measured((("x", 1.0, "ns"), ("x", 100.0, "ns")))
    b = measured((("x", 1.0, "ns"), ("x", 200.0, "ns")))
    (change,) = compare_metrics(a, b, Thresholds())
    assert (change.before.median, change.after.median) == (100.0, 200.0)


def test_repeated_metrics_are_compared_beyond_their_noise() -> None:
    a = measured(*((("x", value, "ns"),) for value in (90.0, 100.0, 110.0)))
    near = measured(*((("x", value, "ns"),) for value in (120.0, 130.0, 140.0)))
    far = measured(*((("x", value, "ns"),) for value in (150.0, 160.0, 170.0)))
    assert compare_metrics(a, near, Thresholds()) == ()
    (change,) = compare_metrics(a, far, Thresholds())
    assert change.before.count == 3
    assert change.before.spread == pytest.approx(14.826)


def test_one_attempt_has_no_spread() -> None:
    one = sample([3.0])
    assert one is not None
    assert (one.median, one.spread, one.count) == (3.0, 0.0, 1)
    assert sample([]) is None


def test_the_rule_names_its_thresholds() -> None:
    rule = Thresholds(factor=2.5, metric=0.35).rule()
    assert "factor of 2.5" in rule
    assert "35 %" in rule


values = st.lists(
    st.tuples(st.sampled_from(["x", "y"]), st.floats(), st.sampled_from(["ns", ""])), max_size=4
)


@given(a=st.lists(values, min_size=1, max_size=3), b=st.lists(values, min_size=1, max_size=3))
def test_any_numbers_are_compared_alike_both_ways(a: Any, b: Any) -> None:
    def turned(change: MeasuredChange) -> MeasuredChange:
        return MeasuredChange(change.name, change.unit, change.after, change.before)

    one, other = (measured(*(tuple(each) for each in side)) for side in (a, b))
    there = compare_metrics(one, other, Thresholds())
    back = compare_metrics(other, one, Thresholds())
    assert {turned(change) for change in there} == set(back)
    assert compare_metrics(one, one, Thresholds()) == ()


def migrated(*, p99: float = 0.3, count: int = 100, completed: int = 100) -> Any:
    summary = MigrationSummary(
        hops=completed,
        completed=completed,
        as_expected=0,
        bad=0,
        seed=1,
        seconds=60.0,
        statistics=(Statistic("downtime", "s", count, 0.1, 0.2, p99, 9.0),),
    )
    return record_of(make.case(), [make.attempt(migration=summary)])


def test_what_hops_came_to_are_metrics() -> None:
    worse = migrated(p99=0.5, completed=50)
    (downtime, rate) = compare_metrics(migrated(), worse, Thresholds())
    assert (downtime.name, downtime.unit) == ("downtime p99", "s")
    assert (downtime.before.median, downtime.after.median) == (0.3, 0.5)
    assert (rate.name, rate.before.median, rate.after.median) == ("hops per minute", 100, 50)
    assert compare_metrics(worse, worse, Thresholds()) == ()


def test_a_quantile_takes_hops() -> None:
    """The 99th of 99 hops is the greatest of them."""
    few = migrated(p99=0.5, count=99)
    assert compare_metrics(migrated(count=99), few, Thresholds()) == ()


def hops_of(*seconds: float) -> Any:
    """A case with so many hops in one attempt, which are too few for percentiles."""
    middle, count = statistics.median(seconds), len(seconds)
    downtime = Statistic("downtime", "s", count, middle, None, None, max(seconds), min=min(seconds))
    summary = MigrationSummary(count, count, 0, 0, 1, 0.0, statistics=(downtime,))
    return record_of(make.case(), [make.attempt(migration=summary)])


def test_the_median_of_few_hops_is_as_uncertain_as_they_differ() -> None:
    """Three hops of the same QEMU in one attempt are no repeats, but have a spread."""
    before, noisy = hops_of(0.010, 0.011, 0.030), hops_of(0.012, 0.024, 0.025)
    assert compare_metrics(before, noisy, Thresholds()) == ()
    (change,) = compare_metrics(before, hops_of(0.200, 0.205, 0.210), Thresholds())
    # The range is 1.693 deviations of three values: Tippett, Biometrika 17 (1925).
    assert change.before.spread == pytest.approx(1.2533 * 0.020 / 1.693 / 3**0.5, rel=0.06)


def explained(ram: float, count: int = 2) -> Any:
    def time(name: str, median: float) -> Statistic:
        return Statistic(name, "s", count, median, None, None, 1.0)

    devices = (time("ram save", ram), time("cpu load", ram / 1000))
    summary = MigrationSummary(count, count, 0, 0, 1, 0.0, devices=devices)
    return record_of(make.case(), [make.attempt(migration=summary)])


def test_two_versions_are_compared_by_device() -> None:
    """But not by a few microseconds, nor by one hop."""
    (ram,) = compare_metrics(explained(2e-3), explained(3e-3), Thresholds())
    assert (ram.name, ram.unit) == ("ram save p50", "s")
    assert (ram.before.median, ram.after.median) == (2e-3, 3e-3)
    assert compare_metrics(explained(0.1e-3), explained(0.5e-3), Thresholds()) == ()
    assert compare_metrics(explained(2e-3, 1), explained(3e-3, 1), Thresholds()) == ()
