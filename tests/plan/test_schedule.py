"""The scheduler as a state machine: order, limits, and no job lost."""

import heapq
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.plan.schedule import PATIENCE, Capacity, HostScheduler, Job

GIB, MIB = 2**30, 2**20


def job(index: int, vcpus: int = 1, memory: int = GIB, estimate: float = 1.0) -> Job:
    return Job((index, 1), vcpus, memory, estimate)


def test_longest_first() -> None:
    jobs = [job(0, estimate=1), job(1, estimate=9), job(2, estimate=5)]
    scheduler = HostScheduler(jobs, Capacity(1, 8 * GIB))
    order = []
    while started := scheduler.start():
        order += [j.key[0] for j in started]
        for j in started:
            scheduler.finished(j.key)
    assert order == [1, 2, 0]


def test_vcpus_limit() -> None:
    scheduler = HostScheduler([job(i, vcpus=2) for i in range(4)], Capacity(4, 8 * GIB))
    assert len(scheduler.start()) == 2
    assert scheduler.start() == []
    assert (scheduler.running, scheduler.waiting, scheduler._vcpus) == (2, 2, 4)


def test_memory_limit() -> None:
    scheduler = HostScheduler([job(i, memory=3 * GIB) for i in range(4)], Capacity(64, 8 * GIB))
    assert len(scheduler.start()) == 2
    assert scheduler._memory == 6 * GIB


def test_a_fixed_number_of_jobs_overrides_both() -> None:
    scheduler = HostScheduler([job(i, 8, 64 * GIB) for i in range(5)], Capacity(2, GIB, jobs=3))
    assert len(scheduler.start()) == 3


@pytest.mark.parametrize("jobs", [None, 4])
def test_some_limits_hold_in_any_case(jobs: int | None) -> None:
    scheduler = HostScheduler([job(i) for i in range(5)], Capacity(4, 8 * GIB, jobs=jobs, most=2))
    assert len(scheduler.start()) == 2


def test_a_job_larger_than_the_host_runs_alone() -> None:
    scheduler = HostScheduler([job(0, vcpus=16, estimate=9), job(1)], Capacity(2, GIB))
    assert [j.key[0] for j in scheduler.start()] == [0]
    scheduler.finished((0, 1))
    assert [j.key[0] for j in scheduler.start()] == [1]


def test_what_comes_next_is_known_while_the_host_has_something_left() -> None:
    jobs = [job(0, estimate=9), job(1, estimate=1), job(2, estimate=5)]
    scheduler = HostScheduler(jobs, Capacity(2, 8 * GIB, jobs=1))
    assert scheduler.upcoming() is None  # nothing runs: what there is can be started
    order = []
    while started := scheduler.start():
        order += [started[0].key[0]]
        upcoming = scheduler.upcoming()
        order += [upcoming.key[0]] if upcoming else []
        scheduler.finished(started[0].key)
    assert order == [0, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("running", "waiting", "capacity"),
    [
        (job(0), job(1), Capacity(1, 8 * GIB)),
        (job(0, vcpus=2), job(1), Capacity(2, 8 * GIB, jobs=1)),
        (job(0, memory=5 * GIB), job(1, memory=4 * GIB), Capacity(2, 8 * GIB)),
    ],
    ids=["no vCPU", "no vCPU beside a job of -j", "no memory"],
)
def test_nothing_comes_next_on_a_host_that_is_full(
    running: Job, waiting: Job, capacity: Capacity
) -> None:
    scheduler = HostScheduler([running, waiting], capacity)
    assert scheduler.start() == [running]
    assert scheduler.upcoming() is None


def test_a_job_that_is_to_be_alone_is() -> None:
    jobs = [job(0, estimate=9), replace(job(1, estimate=5), alone=True), job(2, estimate=1)]
    scheduler = HostScheduler(jobs, Capacity(4, 8 * GIB, jobs=4))
    assert [j.key[0] for j in scheduler.start()] == [0, 2]  # what fits beside the first one
    assert scheduler.upcoming() == jobs[1]
    scheduler.finished((0, 1))
    assert scheduler.start() == []
    scheduler.finished((2, 1))
    assert [j.key[0] for j in scheduler.start()] == [1]
    scheduler.add(job(3))
    assert scheduler.start() == []
    assert scheduler.upcoming() is None  # not even a QEMU that only starts
    scheduler.finished((1, 1))
    assert [j.key[0] for j in scheduler.start()] == [3]


def test_a_smaller_job_passes_one_that_does_not_fit() -> None:
    jobs = [job(0, 1, estimate=9), job(1, 2, estimate=8), job(2, 1, estimate=1)]
    scheduler = HostScheduler(jobs, Capacity(2, 8 * GIB))
    assert [j.key[0] for j in scheduler.start()] == [0, 2]


def test_a_big_job_is_not_starved() -> None:
    """Without patience a stream of small jobs would keep the big one out to the end."""
    small = [job(i, 1, estimate=5 if i == 1 else 3) for i in range(1, 60)]
    scheduler = HostScheduler([job(0, 2, estimate=4), *small], Capacity(2, 64 * GIB))
    running = [j.key for j in scheduler.start()]
    position = 0
    while (0, 1) not in running:
        scheduler.finished(running.pop(0))
        running += [j.key for j in scheduler.start()]
        position += 1
    assert position <= PATIENCE + 3


def test_huge_pages_are_a_limit_even_beside_a_number_of_jobs() -> None:
    jobs = [replace(job(i), huge_pages=2 * MIB) for i in range(3)] + [job(3)]
    scheduler = HostScheduler(jobs, Capacity(8, 8 * GIB, jobs=4, huge_pages=4 * MIB))
    assert [each.key[0] for each in scheduler.start()] == [0, 1, 3]
    scheduler.finished((3, 1))
    assert scheduler.start() == []
    scheduler.finished((0, 1))
    assert [each.key[0] for each in scheduler.start()] == [2]


def test_finishing_what_does_not_run_is_an_error() -> None:
    with pytest.raises(KeyError):
        HostScheduler([job(0)], Capacity(1, GIB)).finished((0, 1))


jobs_strategy = st.lists(
    st.tuples(
        st.integers(1, 9),
        st.integers(1, 9),
        st.floats(0, 100),
        st.booleans(),
        st.sampled_from([0, 0, 1, 3, 9]),
    ),
    max_size=40,
).map(
    lambda rows: [
        Job((i, 1), v, m * GIB, e, alone, huge * MIB)
        for i, (v, m, e, alone, huge) in enumerate(rows)
    ]
)


@given(jobs_strategy, st.integers(1, 8), st.integers(1, 8), st.one_of(st.none(), st.integers(1, 5)))
def test_every_job_runs_once_within_the_limits(
    jobs: list[Job], vcpus: int, memory: int, fixed: int | None
) -> None:
    scheduler = HostScheduler(jobs, Capacity(vcpus, memory * GIB, fixed, 4 * MIB))
    seen: list[tuple[int, int]] = []
    running: list[tuple[float, tuple[int, int]]] = []
    now = 0.0
    while True:
        for started in scheduler.start():
            seen.append(started.key)
            heapq.heappush(running, (now + started.estimate, started.key))
        if fixed is None:
            assert scheduler._vcpus <= vcpus
            assert scheduler._memory <= memory * GIB
        else:
            assert scheduler.running <= fixed
        assert scheduler.running == len(running)
        assert scheduler._huge_pages <= 4 * MIB
        assert len(running) == 1 or not any(jobs[key[0]].alone for _, key in running)
        upcoming = scheduler.upcoming()
        assert upcoming is None or upcoming.key not in seen
        if not running:
            break
        now, key = heapq.heappop(running)
        scheduler.finished(key)
    assert sorted(seen) == [j.key for j in jobs]
    assert scheduler.waiting == 0
