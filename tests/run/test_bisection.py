"""Which of a row is the first bad one, and how often a case that fails now and then is repeated."""

import math
from itertools import combinations

import pytest

from matrix.run.bisection import Answer, Found, first_bad, passes_needed


@pytest.mark.parametrize("count", [2, 3, 4, 9, 100])
def test_the_first_bad_one_is_found_in_few_steps(count: int) -> None:
    names = [str(number) for number in range(count)]
    for first in range(1, count):
        tested: list[str] = []

        def test(name: str, first: int = first, tested: list[str] = tested) -> Answer:
            tested.append(name)
            return Answer.BAD if int(name) >= first else Answer.GOOD

        assert first_bad(names, test) == Found(str(first))
        assert len(tested) == len(set(tested)) <= math.ceil(math.log2(count))
        assert not {names[0], names[-1]} & {*tested}


def test_whatever_cannot_be_tested_is_passed_over() -> None:
    names = [*"abcdef"]
    for first in range(1, 6):
        for broken in combinations("bcde", 2):

            def test(name: str, first: int = first, broken: tuple[str, ...] = broken) -> Answer:
                if name in broken:
                    return Answer.SKIP
                return Answer.BAD if names.index(name) >= first else Answer.GOOD

            found = first_bad(names, test)
            assert names[first] in (*found.suspects, found.first_bad)
            assert {*found.suspects} <= {*broken}


def test_how_often_a_flaky_case_is_repeated() -> None:
    assert passes_needed(1) == 1
    for failed_at in range(2, 31):
        missed = (1 - 1 / failed_at) ** passes_needed(failed_at)
        assert missed < 0.05
