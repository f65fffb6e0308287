"""Every case is in exactly one shard, whatever a host knows, and the shards are balanced."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.errors import UsageError
from matrix.model import Architecture, Case, RunSettings
from matrix.plan.shards import Shard, divide, shard_of, weights
from tests import make

X86 = Architecture.X86_64


def case(
    name: str,
    timeout: float | None = None,
    *,
    settings: RunSettings | None = None,
    excluded: str = "",
) -> Case:
    test = make.test(name, timeout=timeout)
    return make.case(test, case_id=f"s.{name}", settings=settings, excluded=excluded)


@pytest.mark.parametrize(
    ("text", "index", "count"), [("1/1", 1, 1), ("2/5", 2, 5), (" 10/10 ", 10, 10)]
)
def test_a_shard_is_typed_as_part_of_a_whole(text: str, index: int, count: int) -> None:
    assert Shard.parse(text) == Shard(index, count)


@pytest.mark.parametrize(
    "text", ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/2/3", "a/b", "1.5/3", "1/99999", "٣/٤"]
)
def test_what_is_no_shard_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        Shard.parse(text)


WEIGHTS = st.dictionaries(st.text(max_size=5), st.floats(0.001, 1e6), max_size=60)


@given(WEIGHTS, st.integers(1, 12), st.randoms(use_true_random=False))
def test_the_division_is_a_partition_that_order_does_not_change(
    weighed: dict[str, float], count: int, random: Random
) -> None:
    numbers = divide(weighed, count)
    assert numbers.keys() == weighed.keys()
    assert set(numbers.values()) <= set(range(1, count + 1))
    shuffled = list(weighed.items())
    random.shuffle(shuffled)
    assert divide(dict(shuffled), count) == numbers


@given(WEIGHTS, st.integers(1, 12))
def test_no_shard_is_far_above_the_others(weighed: dict[str, float], count: int) -> None:
    """Graham's bound: 4/3 - 1/3n of the best, which is at least the mean and the largest."""
    loads = [0.0] * count
    for name, number in divide(weighed, count).items():
        loads[number - 1] += weighed[name]
    least = max(sum(weighed.values()) / count, max(weighed.values(), default=0.0))
    if len(weighed) > count:  # two of the n + 1 largest share a shard in any division
        largest = sorted(weighed.values(), reverse=True)
        least = max(least, largest[count - 1] + largest[count])
    assert max(loads) <= (4 / 3 - 1 / (3 * count)) * least * (1 + 1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("known", [0, 20, 40])
def test_every_case_is_in_exactly_one_shard(count: int, known: int) -> None:
    cases = [case(f"t{number}", 10.0 + number % 7) for number in range(40)]
    seconds = {each.id: 0.1 * (index + 1) for index, each in enumerate(cases[:known])}
    parts = [shard_of(cases, Shard(index, count), seconds) for index in range(1, count + 1)]
    ids = [each.id for part in parts for each in part]
    assert sorted(ids) == sorted(each.id for each in cases)
    for part in parts:
        assert part == [each for each in cases if each in part], "the order is the scenario's"


def test_known_durations_balance() -> None:
    cases = [case(f"t{number}") for number in range(5)]
    seconds = {"s.t0": 8.0, "s.t1": 2.0, "s.t2": 2.0, "s.t3": 2.0, "s.t4": 2.0}
    first = shard_of(cases, Shard(1, 2), seconds)
    second = shard_of(cases, Shard(2, 2), seconds)
    assert [[each.test.name for each in part] for part in (first, second)] == [
        ["t0"],
        ["t1", "t2", "t3", "t4"],
    ]


def test_without_durations_time_limits_balance() -> None:
    cases = [case("long", 300.0), *(case(f"t{number}", 100.0) for number in range(3))]
    assert [each.test.name for each in shard_of(cases, Shard(1, 2))] == ["long"]


def test_the_unknown_are_taken_to_use_their_time_limit_as_the_known_do() -> None:
    cases = [case("a", 100.0), case("b", 50.0), case("new", 200.0)]
    weighed = weights(cases, {"s.a": 10.0, "s.b": 5.0, "s.of another run": 1000.0})
    assert weighed == {"s.a": 10.0, "s.b": 5.0, "s.new": pytest.approx(20.0)}


def test_repeats_count_and_what_is_skipped_does_not() -> None:
    repeated = case("r", settings=RunSettings(repeat=4))
    excluded = case("e", excluded="in group nodefault")
    until = case("u", settings=RunSettings(until_fail=True))
    weighed = weights([repeated, excluded, until], {"s.r": 2.0, "s.e": 5.0, "s.u": 3.0})
    assert weighed["s.r"] == 8.0
    assert weighed["s.e"] < 0.01
    assert weighed["s.u"] == 3.0


def test_skipped_cases_are_spread_evenly() -> None:
    cases = [case(f"e{number}", excluded="no") for number in range(10)]
    assert [len(shard_of(cases, Shard(index, 5))) for index in range(1, 6)] == [2] * 5
