import random
from collections.abc import Iterator

import pytest

from matrix.vm.watch import CIRCLE_SAMPLES, LONGEST_PAUSE, SAMPLES, DeadLoopClock, IdleClock


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
    assert count <= 45


def test_one_difference_begins_a_new_period() -> None:
    def nearly() -> Iterator[int | None]:
        for _ in range(SAMPLES - 1):
            yield 1
        while True:
            yield 2

    found = sampled(DeadLoopClock(20.0), nearly(), 100)
    assert found is not None
    assert found > 39


def circle(length: int, rare: int = 0, seed: int = 1) -> Iterator[int | None]:
    """``length`` states that are as often seen, and ``rare`` ones, a tenth as often."""
    chance = random.Random(seed)
    states = range(length + rare)
    weights = [10] * length + [1] * rare
    while True:
        yield chance.choices(states, weights)[0]


@pytest.mark.parametrize("length", [2, 5, 20])
@pytest.mark.parametrize("rare", [0, 15])
def test_a_dead_loop_of_several_states_is_found_too(length: int, rare: int) -> None:
    """As that of a guest which takes the same fault again and again: 34 states in 400 samples."""
    for seed in range(20):
        clock = DeadLoopClock(20.0)
        found = sampled(clock, circle(length, rare, seed), 150)
        assert found is not None
        assert 30 <= found <= 70
        assert clock.states <= length + rare


@pytest.mark.parametrize("often", [0.3, 0.7])
def test_a_guest_that_waits_and_works_is_alive(often: float) -> None:
    """It is often seen in the same states, and as often in new ones."""
    for seed in range(20):
        chance = random.Random(seed)
        prints = (
            chance.randrange(5) if chance.random() < often else number
            for number in range(10, 10**6)
        )
        assert sampled(DeadLoopClock(20.0), prints, 300) is None


def test_a_guest_that_works_after_waiting_is_alive() -> None:
    def waits_then_works() -> Iterator[int | None]:
        for number in range(280):
            yield number % 3
        yield from changing()

    assert sampled(DeadLoopClock(20.0), waits_then_works(), 300) is None


def test_waiting_for_something_else_is_a_new_period() -> None:
    """It has come from one loop to another, so what it waited for came to pass."""

    def waits_twice() -> Iterator[int | None]:
        for number in range(280):
            yield number % 3
        while True:
            yield from (7, 8, 9)

    found = sampled(DeadLoopClock(20.0), waits_twice(), 300)
    assert found is not None
    assert found > 28 + 20


def test_a_guest_that_dies_later_is_found() -> None:
    def works_then_dies() -> Iterator[int | None]:
        yield from range(20)
        yield from the_same()

    clock = DeadLoopClock(20.0)
    found = sampled(clock, works_then_dies(), 300)
    assert found is not None
    assert clock.samples < 2 * CIRCLE_SAMPLES


def test_incomplete_samples_count_for_nothing() -> None:
    def incomplete() -> Iterator[int | None]:
        while True:
            yield None

    assert sampled(DeadLoopClock(2.0), incomplete(), 100) is None
