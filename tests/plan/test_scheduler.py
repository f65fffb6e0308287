"""The scheduler over several hosts: places, gangs, and no job lost, run twice or starved."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from matrix.plan.schedule import PATIENCE, Capacity, Job
from matrix.plan.scheduler import Scheduler

GIB = 2**30


def job(index: int, vcpus: int = 1, memory: int = GIB, estimate: float = 1.0) -> Job:
    return Job((index, 1), vcpus, memory, estimate)


def test_each_host_has_its_own_capacity() -> None:
    jobs = [replace(job(i, vcpus=2), host="ab"[i % 2]) for i in range(8)]
    capacities = {"a": Capacity(2, 8 * GIB), "b": Capacity(4, 8 * GIB)}
    scheduler = Scheduler(jobs, capacities)
    started = scheduler.start()
    assert [each.host for each in started] == ["a", "b", "b"]
    assert (scheduler.start(), scheduler.running) == ([], 3)
    scheduler.finished(started[1])
    assert [each.host for each in scheduler.start()] == ["b"]


def test_one_that_is_to_be_alone_is_so_on_its_host_only() -> None:
    alone = replace(job(0, estimate=9), alone=True, host="a")
    others = [replace(job(i), host=host) for i, host in ((1, "a"), (2, "b"))]
    capacities = dict.fromkeys("ab", Capacity(4, 8 * GIB))
    scheduler = Scheduler([alone, *others], capacities)
    assert [each.key[0] for each in scheduler.start()] == [0, 2]


def test_each_host_with_an_idle_vcpu_has_a_job_to_prepare() -> None:
    jobs = [replace(job(i), host="ab"[i % 2]) for i in range(6)]
    scheduler = Scheduler(jobs, dict.fromkeys("ab", Capacity(2, 8 * GIB, jobs=1)))
    scheduler.start()
    assert [each.key[0] for each in scheduler.upcoming()] == [2, 3]


def test_hosts_of_a_group_keep_their_place_until_they_have_nothing_left() -> None:
    capacity = Capacity(1, GIB, jobs=1, group="virtual", most_hosts=2)
    capacities = {"a": capacity, "b": capacity, "c": capacity, "local": Capacity(8, 8 * GIB)}
    jobs = [replace(job(i), host=host) for i, host in enumerate(("a", "a", "b", "c", "local"))]
    scheduler = Scheduler(jobs, capacities)

    def start() -> list[str]:
        return [each.host for each in scheduler.start()]

    assert start() == ["a", "b", "local"]
    scheduler.finished(jobs[0])
    assert start() == ["a"]
    scheduler.finished(jobs[2])
    assert start() == ["c"]
    scheduler.finished(jobs[1])
    scheduler.add(replace(job(9), host="b"))
    assert start() == ["b"]
    assert scheduler.running == 3


def keys(started: list[Job]) -> list[tuple[int, str]]:
    return [(each.key[0], each.host) for each in started]


def anywhere(index: int, host: str, others: str, estimate: float = 1.0) -> Job:
    return replace(job(index, estimate=estimate), host=host, elsewhere=tuple(others))


ROOM = Capacity(1, 8 * GIB)


def test_a_host_that_has_nothing_left_takes_the_longest_job_that_it_may() -> None:
    jobs = [anywhere(0, "a", "b", 9), anywhere(1, "a", "b", 5), anywhere(2, "a", "", 7)]
    scheduler = Scheduler(jobs, {"a": ROOM, "b": ROOM})
    started = scheduler.start()
    assert keys(started) == [(0, "a"), (1, "b")]
    scheduler.finished(started[1])
    assert scheduler.start() == []
    scheduler.finished(started[0])
    assert keys(scheduler.start()) == [(2, "a")]


def test_it_takes_from_the_host_with_most_left() -> None:
    jobs = [anywhere(i, "a", "c") for i in range(3)] + [anywhere(i, "b", "c") for i in range(3, 9)]
    scheduler = Scheduler(jobs, dict.fromkeys("abc", ROOM))
    assert keys(scheduler.start()) == [(0, "a"), (3, "b"), (4, "c")]


def test_the_host_with_most_room_is_the_first_to_take_one() -> None:
    jobs = [anywhere(i, "a", "bc", 9 - i) for i in range(4)]
    scheduler = Scheduler(jobs, {"a": ROOM, "b": ROOM, "c": Capacity(4, 8 * GIB)})
    scheduler.add(replace(job(9), host="b"))
    assert keys(scheduler.start()) == [(0, "a"), (9, "b"), (1, "c"), (2, "c"), (3, "c")]


def test_what_was_prepared_on_a_host_starts_there() -> None:
    jobs = [anywhere(i, "a", "b", 9 - i) for i in range(3)]
    scheduler = Scheduler(jobs, {"a": ROOM, "b": ROOM})
    scheduler.keep(jobs[1])
    assert keys(scheduler.start()) == [(0, "a")]


def test_what_may_run_elsewhere_does_not_start_on_a_host_that_is_avoided() -> None:
    jobs = [anywhere(0, "a", "b", 9), anywhere(1, "a", "b", 5), anywhere(2, "a", "", 4)]
    jobs += [anywhere(3, "a", "b", 3)]
    scheduler = Scheduler(jobs, {"a": ROOM, "b": ROOM})
    running = scheduler.start()
    assert keys(running) == [(0, "a"), (1, "b")]
    scheduler.keep(jobs[3])
    scheduler.add(anywhere(4, "a", "b"))
    scheduler.avoid("a")
    scheduler.add(anywhere(5, "a", "bx", 2))
    assert scheduler.running == 2  # what runs there goes on
    for each in running:
        scheduler.finished(each)
    running = scheduler.start()
    assert keys(running) == [(2, "a"), (5, "b")]
    scheduler.finished(running[0])
    assert keys(scheduler.start()) == [(3, "a")]


def test_nothing_starts_on_a_host_that_is_held() -> None:
    jobs = [replace(job(0), host="a"), replace(job(1), host="b"), anywhere(2, "b", "a", 2)]
    scheduler = Scheduler(jobs, dict.fromkeys("ab", ROOM))
    scheduler.add(gang(3, "ab", 0.5))
    scheduler.hold("a")
    assert keys(scheduler.start()) == [(2, "b")]
    assert scheduler.upcoming() == []
    assert scheduler.waits_for_held()
    scheduler.avoid("a")
    scheduler.release("a", use=True)
    assert not scheduler.waits_for_held()
    assert keys(scheduler.start()) == [(0, "a")]


def gang(index: int, hosts: str, estimate: float = 1.0, vcpus: int = 1) -> Job:
    return replace(job(index, vcpus, estimate=estimate), host=hosts[0], gang=tuple(hosts[1:]))


def test_a_gang_starts_on_all_of_its_hosts_or_on_none() -> None:
    jobs = [gang(0, "ab", 2), gang(1, "ba", 1), replace(job(2), host="a")]
    scheduler = Scheduler(jobs, {"a": Capacity(2, 8 * GIB), "b": ROOM})
    started = scheduler.start()
    assert keys(started) == [(0, "a"), (2, "a")]
    assert scheduler.running == 2
    scheduler.finished(started[0])
    assert keys(scheduler.start()) == [(1, "b")]


def busy(scheduler: Scheduler, hosts: str) -> Iterator[Job]:
    """What starts while each host of ``hosts`` is always given one more small job."""
    running: list[Job] = []
    index = 1000
    while True:
        started = scheduler.start()
        yield from started
        running += started
        ended = running.pop(0)
        scheduler.finished(ended)
        for name in hosts:
            index += 1
            scheduler.add(replace(job(index, estimate=5), host=name))


def position(started: Iterator[Job], index: int) -> int:
    """How many jobs started before that one."""
    return next(count for count, each in enumerate(started) if each.key[0] == index)


TWO = Capacity(2, 8 * GIB)


def test_a_gang_is_not_starved_by_jobs_of_its_hosts() -> None:
    first = [replace(job(i, estimate=9), host=name) for i, name in enumerate("aabb")]
    scheduler = Scheduler(first, {"a": TWO, "b": TWO})
    scheduler.start()
    for each in first:
        scheduler.add(replace(each, key=(each.key[0] + 10, 1)))
    scheduler.add(gang(99, "ab", vcpus=2))
    for each in first:
        scheduler.finished(each)
    assert position(busy(scheduler, "ab"), 99) <= PATIENCE + 4


def test_gangs_that_share_a_host_are_served_in_turn() -> None:
    gangs = [gang(97, "ab", vcpus=2), gang(98, "bc", vcpus=2), gang(99, "ca", vcpus=2)]
    for each in gangs:
        scheduler = Scheduler([], dict.fromkeys("abc", TWO))
        for i, name in enumerate("aabbcc"):
            scheduler.add(replace(job(i, estimate=5), host=name))
        started = scheduler.start()
        assert len(started) == 6
        for other in gangs:
            scheduler.add(other)
        for done in started:
            scheduler.finished(done)
            scheduler.add(replace(done, key=(done.key[0] + 10, 1)))
        assert position(busy(scheduler, "abc"), each.key[0]) <= 3 * PATIENCE + 12


def test_a_big_job_is_not_starved_by_gangs() -> None:
    scheduler = Scheduler([replace(job(99, 2, estimate=9), host="a")], {"a": TWO, "b": TWO})
    scheduler.add(gang(0, "ab"))
    scheduler.add(gang(1, "ab"))

    def endless() -> Iterator[Job]:
        running: list[Job] = []
        index = 1
        while True:
            started = scheduler.start()
            yield from started
            running += started
            scheduler.finished(running.pop(0))
            index += 1
            scheduler.add(gang(index, "ab"))

    assert position(endless(), 99) <= PATIENCE + 3


def check_schedule(choose: random.Random) -> None:
    """Jobs of all kinds on a few hosts, which end in any order, while jobs are added, and hosts
    avoided: each starts once, has its places, and none waits where nothing runs."""
    names = "abcd"[: choose.randint(1, 4)]
    capacities = {
        name: Capacity(
            choose.randint(1, 4), choose.randint(1, 6) * GIB, choose.choice((None, None, 1, 3))
        )
        for name in names
    }
    jobs = [some_job(index, choose, names) for index in range(choose.randint(1, 30))]
    first = choose.randint(0, len(jobs))
    scheduler = Scheduler(jobs[:first], capacities)
    to_come, running, seen = jobs[first:], [], Counter[int]()
    while True:
        for started in scheduler.start():
            given_ = jobs[started.key[0]]
            assert started.hosts == given_.hosts or started.host in given_.elsewhere
            seen[started.key[0]] += 1
            running.append(started)
        check_places(running, capacities)
        assert scheduler.running == len(running)
        if not running and not to_come:
            break
        action = choose.random()
        if to_come and (not running or action < 0.4):
            scheduler.add(to_come.pop())
        elif running:
            scheduler.finished(running.pop(choose.randrange(len(running))))
        if action > 0.95:
            scheduler.avoid(choose.choice(names))
    assert seen == Counter(range(len(jobs)))


def some_job(index: int, choose: random.Random, names: str) -> Job:
    order = choose.sample(names, len(names))
    others = tuple(order[1 : choose.randint(1, len(names))])
    together = choose.random() < 0.3
    return Job(
        (index, 1),
        choose.randint(1, 5),
        choose.randint(1, 7) * GIB,
        choose.choice((0.0, 1.0, 2.0, choose.random() * 9)),
        alone=choose.random() < 0.1,
        host=order[0],
        elsewhere=() if together else others,
        gang=others if together else (),
    )


def check_places(running: list[Job], capacities: dict[str, Capacity]) -> None:
    for name, capacity in capacities.items():
        here = [each for each in running if name in each.hosts]
        assert len(here) <= 1 or not any(each.alone for each in here)
        if capacity.jobs is not None:
            assert len(here) <= capacity.jobs
            continue
        assert sum(min(each.vcpus, capacity.vcpus) for each in here) <= capacity.vcpus
        assert sum(min(each.memory, capacity.memory) for each in here) <= capacity.memory


@given(st.randoms(use_true_random=False))
def test_every_job_starts_once_and_nothing_deadlocks(choose: random.Random) -> None:
    check_schedule(choose)


MOST_PASSED = 200
"""More than twice the most that was seen in 4,000 random flows of at most nine kinds of jobs."""


def count_of_starts(choose: random.Random) -> int:
    """Jobs of a few kinds, of each always one more, and longer ones that are to start, too; gives
    how many started until the last of these did."""
    names = "abcd"[: choose.randint(1, 4)]
    capacities = {name: Capacity(choose.randint(1, 4), 6 * GIB) for name in names}
    kinds = [some_job(index, choose, names) for index in range(choose.randint(1, 6))]
    longer = {10 + i: replace(some_job(10 + i, choose, names), estimate=10.0) for i in range(3)}
    scheduler = Scheduler(kinds, capacities)
    running = scheduler.start()
    missing = [kinds[job.key[0]] for job in running]
    for job in longer.values():
        scheduler.add(job)
    numbers, count = itertools.count(2), 0
    while longer:
        for kind in missing:
            scheduler.add(replace(kind, key=(kind.key[0], next(numbers))))
        missing = []
        for started in scheduler.start():
            running.append(started)
            count += 1
            if longer.pop(started.key[0], None) is None and started.key[0] < 10:
                missing.append(kinds[started.key[0]])
        assert count <= MOST_PASSED, longer
        scheduler.finished(running.pop(choose.randrange(len(running))))
    return count


@given(st.randoms(use_true_random=False))
def test_an_endless_flow_of_jobs_starves_no_longer_one(choose: random.Random) -> None:
    count_of_starts(choose)


def test_a_job_that_was_passed_too_often_is_before_longer_ones() -> None:
    scheduler = Scheduler([], {"": TWO})
    running: list[Job] = []
    started = []
    for index in range(3 * PATIENCE):
        estimate = 1 if index <= PATIENCE else 9
        scheduler.add(replace(job(index, memory=int(estimate) * 2**20, estimate=estimate), host=""))
        new = scheduler.start()
        started += [each.key[0] for each in new]
        running += new
        if index == 0:
            scheduler.add(replace(job(99, 2, estimate=5), host=""))
        elif len(running) == 2 or not new:
            scheduler.finished(running.pop(0))
    assert 99 in started
