"""How much is left, from known and unknown durations."""

import pytest

from matrix.plan.schedule import DOUBLED, LEAST, Forecast


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


def test_a_case_that_takes_long_does_not_make_it_jump() -> None:
    """Of cases of which nothing is known, most end at once and one hangs."""
    forecast = Forecast([None] * 60)
    elapsed, told = 0.0, None
    for seconds in (*[0.2] * 20, 60.0, *[0.2] * 20):
        elapsed += seconds
        forecast.finished(None, seconds)
        left = forecast.left(elapsed)
        assert left is not None
        if told is not None:
            expected = max(told - seconds, LEAST)
            most = 2 ** (seconds / DOUBLED)
            assert expected / most <= left * 1.001
            assert left <= expected * most * 1.001
        told = left


def test_what_was_wrong_is_mended_with_time() -> None:
    forecast = Forecast([None] * 100)
    forecast.finished(None, 0.1)
    assert forecast.left(0.1) == pytest.approx(9.9)
    forecast.finished(None, 99.9)
    assert forecast.left(100.0) == pytest.approx(98 * 50.0)


def test_two_at_a_time_take_half() -> None:
    forecast = Forecast([None] * 4)
    for _ in range(2):
        forecast.finished(None, 3.0)
    assert forecast.left(3.0) == pytest.approx(3.0)
