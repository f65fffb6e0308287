"""Sequences that fail are cut to what matters, by the stated rule."""

import asyncio
from collections.abc import Callable
from itertools import cycle

import pytest

from matrix.explore.shrinking import Rule, shrunk
from matrix.explore.step import Operation, Step, Steps
from matrix.migrating import Strategy

WORK = Step(Operation.WORK, milliseconds=20)
STOP, CONT = Step(Operation.STOP), Step(Operation.CONT)
FILE = Step(
    Operation.HOP,
    "new",
    Strategy.FILE,
    parameters=(("downtime-limit", 300), ("announce-rounds", 0)),
)


def cut(steps: Steps, fails: Callable[[Steps], bool]) -> tuple[Steps, int]:
    """What is left, and how many sequences were tried."""
    tried = []

    async def shows(candidate: Steps) -> bool:
        tried.append(candidate)
        return fails(candidate)

    left = asyncio.run(shrunk(steps, shows, lambda each: each))
    assert len(set(tried)) == len(tried)
    return left, len(tried)


def test_steps_and_parameters_that_do_not_matter_go() -> None:
    def fails(steps: Steps) -> bool:
        limits = [dict(step.parameters).get("downtime-limit") for step in steps]
        return STOP in steps and 300 in limits[steps.index(STOP) :]

    left, tried = cut((WORK,) * 9 + (STOP, CONT) + (WORK,) * 5 + (FILE, WORK, WORK), fails)
    assert [step.operation for step in left] == [Operation.STOP, Operation.HOP]
    assert left[1].parameters == (("downtime-limit", 300),)
    assert tried < 40


def test_what_cannot_be_spared_stays() -> None:
    steps = (STOP, CONT, FILE)
    assert cut(steps, lambda each: each == steps)[0] == steps


def test_a_later_hop_takes_the_place_of_one_that_is_left_out() -> None:
    back = Step(Operation.HOP, "old", Strategy.FILE)
    there = Step(Operation.HOP, "new", Strategy.FILE)

    def fails(steps: Steps) -> bool:
        """Paused in two places."""
        place, places = "old", set()
        for step in steps:
            place = step.destination or place
            places |= {place} if step == STOP else set()
        return len(places) == 2

    assert cut((there, STOP, CONT, back, STOP), fails)[0] == (STOP, there, STOP)


def test_what_is_not_possible_any_more_is_left_out_with_what_is_cut() -> None:
    def paired(steps: Steps) -> Steps:
        return steps if STOP in steps else tuple(each for each in steps if each != CONT)

    async def shows(steps: Steps) -> bool:
        return WORK in steps

    left = asyncio.run(shrunk((STOP, FILE, CONT, WORK), shows, paired))
    assert left == (WORK,)


@pytest.mark.parametrize(
    ("lives", "shows", "asked"),
    [
        ([True, True, True], True, 2),
        ([True, False, True], True, 3),
        ([False, True, True], True, 3),
        ([False, False, True], False, 2),
        ([True, False, False], False, 3),
    ],
)
def test_the_rule(lives: list[bool], shows: bool, asked: int) -> None:
    answers = cycle(lives)
    count = 0

    async def fails() -> bool:
        nonlocal count
        count += 1
        return next(answers)

    assert asyncio.run(Rule(2, 3).shows(fails)) is shows
    assert count == asked
    assert str(Rule(2, 3)) == "2 of 3"
