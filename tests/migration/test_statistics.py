"""Percentiles in bounded memory, and limits."""

import json
import random
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.migrating import (
    FEWEST,
    DeviceTime,
    Fault,
    Hop,
    HopOutcome,
    Limits,
    Statistic,
    Strategy,
)
from matrix.migration.statistics import (
    EXACT,
    MOST_DEVICES,
    MOST_UNTRACED,
    Distribution,
    Statistics,
)


def hop(number: int = 1, outcome: HopOutcome = HopOutcome.COMPLETED, **values: Any) -> Hop:
    fields: dict[str, Any] = {"good": True, **values}
    return Hop(number, 0.0, Strategy.PRECOPY, "unix", "a 1", "b 2", outcome, **fields)


@given(st.lists(st.floats(1e-4, 1e9), min_size=1, max_size=300), st.sampled_from([50, 90, 99]))
def test_percentiles_are_within_one_percent(values: list[float], percent: int) -> None:
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    ordered = sorted(values)
    exact = ordered[max(1, -(-len(values) * percent // 100)) - 1]
    if percent == 50 and len(values) <= EXACT:
        exact = median(values)
    assert distribution.percentile(percent) == pytest.approx(exact, rel=0.0101)
    assert distribution.largest == ordered[-1]


def test_the_order_makes_no_difference_and_memory_is_bounded() -> None:
    values = [random.Random(1).lognormvariate(-4, 1) for _ in range(20_000)]
    one, other = Distribution(), Distribution()
    for value in values:
        one.add(value)
    for value in reversed(values):
        other.add(value)
    assert one.percentile(99) == other.percentile(99)
    assert len(one._buckets) < 1000


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=60))
def test_few_have_no_percentiles_and_the_rest_is_in_order(values: list[float]) -> None:
    statistics = Statistics(Limits())
    for number, value in enumerate(values, 1):
        statistics.add(hop(number, downtime=value))
    found = {each.name: each for each in statistics.summary(1, 1.0).statistics}["downtime"]
    assert (found.count, found.min, found.max) == (len(values), min(values), max(values))
    assert found.p50 == median(values)
    if len(values) < FEWEST:
        assert (found.p90, found.p99) == (None, None)
    else:
        assert found.p90 is not None
        assert found.p99 is not None
        assert found.p50 <= found.p90 <= found.p99 <= found.max


def test_the_times_of_devices_count_over_their_instances_and_survive_a_fold() -> None:
    """Of hops that have happened; a file of a former version has none."""
    vcpus = (DeviceTime("cpu", 0, 1e-3, 2e-3), DeviceTime("cpu", 1, 3e-3, None))
    statistics = Statistics(Limits())
    statistics.add(hop(1, devices=vcpus))
    statistics.add(hop(2, devices=vcpus[:1], untraced="why"))
    statistics.add(hop(3, HopOutcome.FAILED, devices=vcpus, untraced="why"))
    state = statistics.state()
    for each in (statistics, Statistics.restored(Limits(), json.loads(json.dumps(state)))):
        summary = each.summary(1, 1.0)
        assert summary.devices == (
            Statistic("cpu save", "s", 2, 2.5e-3, None, None, 4e-3, 1e-3),
            Statistic("cpu load", "s", 2, 2e-3, None, None, 2e-3, 2e-3),
        )
        assert summary.untraced == ("why",)
    del state["devices"], state["untraced"]
    assert Statistics.restored(Limits(), state).summary(1, 1.0).devices == ()


def test_the_clocks_bound_is_told_of_hops_between_hosts_alone() -> None:
    """A file of a former version has none."""
    statistics = Statistics(Limits())
    statistics.add(hop(1, clock_bound=1e-3))
    statistics.add(hop(2))
    (told,) = [each for each in statistics.summary(1, 1.0).statistics if each.name == "clock-bound"]
    assert (told.count, told.p50) == (1, 1e-3)
    state = json.loads(json.dumps(statistics.state()))
    del state["distributions"]["clock-bound"], state["largest"]["clock-bound"]
    names = [each.name for each in Statistics.restored(Limits(), state).summary(1, 1.0).statistics]
    assert "clock-bound" not in names


def test_no_number_of_devices_takes_memory() -> None:
    statistics = Statistics(Limits())
    for number in range(2 * MOST_DEVICES):
        statistics.add(
            hop(number, devices=(DeviceTime(str(number), 0, 0.1),), untraced=str(number))
        )
    summary = statistics.summary(1, 1.0)
    assert (len(summary.devices), len(summary.untraced)) == (MOST_DEVICES, MOST_UNTRACED)


def test_the_median_of_equal_values_is_their_maximum() -> None:
    distribution = Distribution()
    for _ in range(5_000):
        distribution.add(0.123456)
    assert distribution.percentile(50) == distribution.percentile(99) == 0.123456


def test_nothing_but_zeros() -> None:
    distribution = Distribution()
    for _ in range(5):
        distribution.add(0)
    assert distribution.percentile(99) == 0


def test_a_summary() -> None:
    statistics = Statistics(Limits())
    statistics.add(hop(1, downtime=0.01, total_time=0.1))
    statistics.add(hop(2, downtime=0.03, total_time=0.2))
    statistics.add(hop(3, HopOutcome.FAILED, good=False, total_time=99.0))
    statistics.add(hop(4, HopOutcome.CANCELLED, fault=Fault.CANCEL_IN_ACTIVE))
    summary = statistics.summary(7, 10.0)
    assert (summary.hops, summary.completed, summary.as_expected, summary.bad) == (4, 2, 1, 1)
    by_name = {statistic.name: statistic for statistic in summary.statistics}
    assert by_name["total-time"].max == 0.2
    assert by_name["downtime"].count == 2
    assert "blackout" not in by_name
    assert (summary.seed, summary.broken) == (7, ())


@pytest.mark.parametrize(
    ("limits", "values", "broken"),
    [
        (Limits(downtime_max=0.3), {"downtime": 0.4}, "hop 1: downtime 0.400 s, more than 0.3 s"),
        (Limits(blackout_max=2), {"blackout": 2.5}, "hop 1: blackout 2.500 s, more than 2 s"),
        (Limits(total_time=1), {"total_time": 2.0}, "hop 1: total-time 2.000 s, more than 1 s"),
        (
            Limits(clock_jump=0.5),
            {"clock_jump": -0.6},
            "hop 1: clock-jump -0.600 s, more than 0.5 s",
        ),
        (
            Limits(downtime_p99=0.1),
            {"downtime": 0.4},
            "downtime p99 of few hops, more than 0.1 s; worst is hop 1 with 0.400 s",
        ),
        (Limits(hops_per_minute=20), {}, "6.0 hops per minute, less than 20"),
    ],
)
def test_limits(limits: Limits, values: dict[str, Any], broken: str) -> None:
    statistics = Statistics(limits)
    statistics.add(hop(1, **values))
    assert statistics.summary(1, 10.0).broken == (broken,)


def test_limits_that_hold_and_hops_that_are_interfered_with() -> None:
    statistics = Statistics(Limits(downtime_max=0.3, total_time=1))
    statistics.add(hop(1, downtime=0.3, total_time=1.0))
    statistics.add(hop(2, downtime=5.0, fault=Fault.STOP_DESTINATION))
    assert statistics.summary(1, 10.0).broken == ()


def test_broken_limits_are_bounded() -> None:
    statistics = Statistics(Limits(downtime_max=0.3))
    for number in range(1, 101):
        statistics.add(hop(number, downtime=1.0))
    broken = statistics.summary(1, 10.0).broken
    assert len(broken) == 21
    assert broken[-1] == "and 80 more"
