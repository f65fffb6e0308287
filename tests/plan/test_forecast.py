"""How much is left, from known and unknown durations."""

import pytest

from matrix.plan.schedule import Forecast


def test_nothing_is_known_before_the_first_end() -> None:
    assert Forecast([1.0, None]).left(5.0) is None


def test_known_durations_count_as_they_were() -> None:
    forecast = Forecast([2.0, 10.0, 4.0])
    forecast.finished(2.0, 2.0)
    assert forecast.left(2.0) == pytest.approx(14.0)


def test_unknown_durations_count_as_the_mean() -> None:
    forecast = Forecast([None, None, None])
    forecast.finished(None, 3.0)
    assert forecast.left(3.0) == pytest.approx(6.0)


def test_two_at_a_time_take_half() -> None:
    forecast = Forecast([None] * 4)
    forecast.finished(None, 3.0)
    forecast.finished(None, 3.0)
    assert forecast.left(3.0) == pytest.approx(3.0)
