"""How far another host's clock is ahead, by echoes that take their time there and back."""

import pytest

from matrix.hosts.fleet.clock_comparison import ClockComparison
from matrix.vm.location import ClockReading


class Clocks:
    """Ours, and one that is ahead of it."""

    def __init__(self, ahead: float) -> None:
        self.now, self.ahead = 5000.0, ahead

    def wall(self) -> float:
        return 1e9 + self.now

    def monotonic(self) -> float:
        return self.now

    def echo(self, comparison: ClockComparison, there: float, back: float) -> None:
        assert comparison.send()
        self.now += there
        theirs = self.wall() + self.ahead
        self.now += back
        comparison.take(theirs)


def test_clocks_are_compared_by_the_echo_that_took_least() -> None:
    clocks = Clocks(3600.0)
    comparison = ClockComparison(clocks.wall, clocks.monotonic)
    assert comparison.reading() is None
    clocks.echo(comparison, 0.020, 0.0)
    clocks.echo(comparison, 0.001, 0.0005)
    clocks.echo(comparison, 0.0, 0.030)
    reading = comparison.reading()
    assert reading is not None
    assert reading.ahead == pytest.approx(3600.00025, abs=1e-6)
    assert 0.00075 < reading.bound < 0.0008  # half of its time, and a little drift
    assert abs(reading.ahead - clocks.ahead) <= reading.bound


def test_an_echo_is_worth_nothing_after_a_while() -> None:
    clocks = Clocks(0.0)
    comparison = ClockComparison(clocks.wall, clocks.monotonic)
    clocks.echo(comparison, 0.0, 0.0)
    clocks.now += 2.0
    clocks.echo(comparison, 0.1, 0.1)
    reading = comparison.reading()
    assert reading is not None
    assert reading.bound == pytest.approx(0.1)


def test_one_echo_is_under_way_at_a_time() -> None:
    comparison = ClockComparison()
    assert comparison.send()
    assert not comparison.send()


def test_the_hull_of_two_readings_has_the_drift_between_them_in_it() -> None:
    hull = ClockReading(1.0, 0.1).hull(ClockReading(1.5, 0.2))
    assert [hull.ahead, hull.bound] == pytest.approx([1.3, 0.4])
