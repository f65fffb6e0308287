from collections.abc import Iterator

import pytest

from matrix.vm.watch import LONGEST_PAUSE, SAMPLES, DeadLoopClock, IdleClock


def looks(clock: IdleClock, *used: float, start: float = 0.0) -> list[bool]:
    """Look once a second."""
    return [clock.look(start + second, seconds) for second, seconds in enumerate(used)]


def test_a_process_that_uses_nothing_is_asleep_after_the_stall_period() -> None:
    assert looks(IdleClock(3.0), 5.0, 5.0, 5.0, 5.0) == [False, False, False, True]


def test_timers_of_an_idle_qemu_are_tolerated() -> None:
    clock = IdleClock(20.0)
    assert looks(clock, *(second * 0.009 for second in range(21)))[-1]
    assert not clock.working


def test_a_process_that_works_is_never_asleep() -> None:
    clock = IdleClock(3.0)
    assert not any(looks(clock, *(second * 0.1 for second in range(60))))
    assert clock.working


def test_a_single_burst_begins_a_new_period() -> None:
    assert looks(IdleClock(3.0), 0, 0, 1, 1, 1, 1) == [False] * 5 + [True]


def test_output_begins_a_new_period() -> None:
    clock = IdleClock(3.0)
    assert not any(looks(clock, 0, 0, 0))
    clock.reset()
    assert looks(clock, 0, 0, 0, 0, start=3) == [False, False, False, True]


def test_working_is_about_the_time_between_two_looks() -> None:
    clock = IdleClock(20.0)
    looks(clock, 0.0, 1.0)
    assert clock.working
    looks(clock, 1.0, start=2)
    assert not clock.working


def sampled(clock: DeadLoopClock, prints: Iterator[int | None], seconds: float) -> float | None:
    """When a guest is found dead whose registers are ``prints``, sampled as the clock asks."""
    now = 0.0
    while now < seconds:
        if clock.sample(now, next(prints)):
            return now
        now += clock.pause
    return None


def the_same() -> Iterator[int | None]:
    while True:
        yield 1


def test_a_dead_loop_is_found_after_the_stall_period() -> None:
    clock = DeadLoopClock(20.0)
    found = sampled(clock, the_same(), 60)
    assert found == pytest.approx(20.0, abs=0.5)
    assert clock.samples >= SAMPLES


def test_slow_samples_make_it_later_not_fewer() -> None:
    clock = DeadLoopClock(1.0)
    dead = [clock.sample(float(second), 1) for second in range(60)]
    assert dead.index(True) == SAMPLES - 1


def changing() -> Iterator[int | None]:
    number = 0
    while True:
        number += 1
        yield number


def test_a_guest_that_works_is_sampled_less_and_less() -> None:
    clock = DeadLoopClock(20.0)
    assert sampled(clock, changing(), 300) is None
    assert clock.pause in (20.0 / SAMPLES, LONGEST_PAUSE)
    count, now = 0, 0.0
    clock.reset()
    while now < 60:
        clock.sample(now, count)
        now += clock.pause
        count += 1
    assert count <= 30


def test_one_difference_begins_a_new_period() -> None:
    def nearly() -> Iterator[int | None]:
        for _ in range(SAMPLES - 1):
            yield 1
        while True:
            yield 2

    found = sampled(DeadLoopClock(20.0), nearly(), 100)
    assert found is not None
    assert found > 39


def test_incomplete_samples_count_for_nothing() -> None:
    def incomplete() -> Iterator[int | None]:
        while True:
            yield None

    assert sampled(DeadLoopClock(2.0), incomplete(), 100) is None
