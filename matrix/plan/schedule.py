"""Which job starts next on one host, and how long all will take: a pure state machine.

Longest first, by the last known duration, because the longest case bounds the run from below
(Graham's LPT rule); within what the host has of vCPUs and memory, or up to a fixed number of jobs;
within its huge pages; one at a time where a job is to be alone. What runs on which of several hosts
is :mod:`matrix.plan.scheduler`'s business.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from matrix.plan.decisions import LOCAL

PATIENCE = 8
"""How often a job that does not fit may be passed by smaller ones before it gets the host alone:
keeps the CPUs busy without starving a big guest."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the host has to give."""

    vcpus: int
    memory: int
    """Bytes."""
    jobs: int | None = None
    """A fixed number of jobs at a time (``-j``), instead of the above; None: the above."""
    huge_pages: int = 0
    """Bytes in huge pages, a limit in any case: what they cannot hold does not start."""
    most: int | None = None
    """Jobs at a time, a limit in any case; None: as many as the above allows."""
    group: str = ""
    """Names the hosts that share a machine, each to itself until it has nothing left."""
    most_hosts: int = 1
    """How many of its group run jobs at a time."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt of a case."""

    key: tuple[int, int]
    """The caller's: (index of the case, number of the attempt)."""
    vcpus: int
    memory: int
    """Bytes."""
    estimate: float
    """Seconds that it will likely take."""
    alone: bool = False
    """Nothing else may run meanwhile."""
    huge_pages: int = 0
    """Bytes."""
    host: str = LOCAL
    elsewhere: tuple[str, ...] = ()
    """Other hosts that may run it as well."""
    gang: tuple[str, ...] = ()
    """Other hosts on which it takes as much at the same time, as one that migrates from host to
    host does."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """All on which it takes a place."""
        return (self.host, *(name for name in self.gang if name != self.host))


def _longest_first(job: Job) -> float:
    return -job.estimate


class Size(NamedTuple):
    """What a job counts for on a host."""

    vcpus: int
    memory: int
    alone: bool
    huge_pages: int


@dataclass(slots=True)
class _Queue:
    """Jobs of the same size that may run on the same hosts, longest first."""

    size: Size
    elsewhere: tuple[str, ...]
    jobs: deque[Job] = field(default_factory=deque)
    passed: int = 0


def _turn(queue: _Queue) -> tuple[bool, float]:
    """Those that were passed too often first, also by longer ones: else an endless flow of these
    would never let the host drain. Then the longest."""
    return queue.passed < PATIENCE, -queue.jobs[0].estimate


class HostScheduler:
    """Jobs waiting and running on one host; ``used + free == capacity`` holds at every step."""

    def __init__(self, jobs: Iterable[Job], capacity: Capacity) -> None:
        self._capacity = capacity
        self._running: dict[tuple[int, int], Job] = {}
        self._vcpus = 0
        self._memory = 0
        self._huge_pages = 0
        self._quiet = False
        """A job runs that is to be alone."""
        self._queues: dict[tuple[Size, tuple[str, ...]], _Queue] = {}
        self._waiting = 0
        self.backlog = 0.0
        """Seconds that the waiting jobs will likely take."""
        self._begun = False
        for job in sorted(jobs, key=_longest_first):
            self._queue(job).append(job)

    def add(self, job: Job) -> None:
        """One more job, which is as the others from here on."""
        insort(self._queue(job), job, key=_longest_first)

    @property
    def waiting(self) -> int:
        """How many jobs have not been started."""
        return self._waiting

    @property
    def running(self) -> int:
        """How many jobs have been started and have not finished."""
        return len(self._running)

    @property
    def active(self) -> bool:
        """Whether it has begun, and has something left."""
        return self._begun and bool(self._waiting or self._running)

    def start(self) -> list[Job]:
        """The jobs to start now; they count as running from here on."""
        started: list[Job] = []
        while (job := self._next()) is not None:
            started.append(job)
        return started

    def upcoming(self) -> Job | None:
        """The waiting job that will likely start next, if the host has an idle vCPU and the memory
        for it. None where it has not, or where nothing runs, or one that is to be alone."""
        idle = 0 < self._vcpus < self._capacity.vcpus
        if not self._queues or not idle or self._quiet:
            return None
        queue = min(self._queues.values(), key=_turn)
        fits = self._memory + queue.size.memory <= self._capacity.memory
        return queue.jobs[0] if fits else None

    def finished(self, key: tuple[int, int]) -> None:
        """A running job has ended. Raises KeyError for one that is not running."""
        size = self._size(self._running.pop(key))
        self._vcpus -= size.vcpus
        self._memory -= size.memory
        self._huge_pages -= size.huge_pages
        self._quiet = False  # it was the only one, if there was any
        assert self._vcpus >= 0  # noqa: S101 - an invariant of this class, not input
        assert self._memory >= 0  # noqa: S101 - as above

    def fits(self, job: Job) -> bool:
        """Whether there is room now for a job, be it one that waits here or not."""
        return self._fits(self._size(job))

    def begin(self, job: Job) -> None:
        """A job starts that does not wait here; longer ones that wait are passed by it."""
        for queue in self._queues.values():
            if queue.jobs[0].estimate >= job.estimate:
                queue.passed += 1
        self._run(job, self._size(job))

    @property
    def load(self) -> float:
        """The share of the host that is in use."""
        capacity = self._capacity
        if capacity.jobs is not None:
            return len(self._running) / capacity.jobs
        return self._vcpus / capacity.vcpus

    @property
    def starved(self) -> bool:
        """Whether the host drains for a job that has been passed too often."""
        return any(queue.passed >= PATIENCE for queue in self._queues.values())

    def movable(self, host: str) -> Iterator[Job]:
        """Of each kind of waiting jobs that may run on ``host`` as well, the longest."""
        return (queue.jobs[0] for queue in self._queues.values() if host in queue.elsewhere)

    def remove(self, job: Job) -> None:
        """A job does not wait here any more. Raises ValueError for one that does not wait."""
        key = self._size(job), job.elsewhere
        if key not in self._queues:
            raise ValueError(f"no job like {job.key} waits here")
        self._queues[key].jobs.remove(job)
        self._dequeued(key, job)

    def clear(self) -> list[Job]:
        """Take away all that wait, longest first."""
        jobs = [job for queue in self._queues.values() for job in queue.jobs]
        self._queues, self._waiting, self.backlog = {}, 0, 0.0
        return sorted(jobs, key=_longest_first)

    def _queue(self, job: Job) -> "deque[Job]":
        """Where a job waits; it counts as waiting from here on."""
        self._waiting += 1
        self.backlog += job.estimate
        size = self._size(job)
        return self._queues.setdefault((size, job.elsewhere), _Queue(size, job.elsewhere)).jobs

    def _size(self, job: Job) -> Size:
        """What a job counts for: never more than the host, or it could never start."""
        capacity = self._capacity
        return Size(
            min(job.vcpus, capacity.vcpus),
            min(job.memory, capacity.memory),
            job.alone,
            min(job.huge_pages, capacity.huge_pages),
        )

    def _next(self) -> Job | None:
        passed: list[_Queue] = []
        for queue in sorted(self._queues.values(), key=_turn):
            if self._fits(queue.size):
                for other in passed:
                    other.passed += 1
                return self._take(queue)
            if queue.passed >= PATIENCE:
                return None  # nothing passes it any more: the host drains for it
            passed.append(queue)
        return None

    def _fits(self, size: Size) -> bool:
        if self._quiet or (size.alone and self._running):
            return False
        if self._capacity.most is not None and len(self._running) >= self._capacity.most:
            return False
        if self._huge_pages + size.huge_pages > self._capacity.huge_pages:
            return False
        if self._capacity.jobs is not None:
            return len(self._running) < self._capacity.jobs
        return (
            self._vcpus + size.vcpus <= self._capacity.vcpus
            and self._memory + size.memory <= self._capacity.memory
        )

    def _take(self, queue: _Queue) -> Job:
        job = queue.jobs.popleft()
        queue.passed = 0
        self._dequeued((queue.size, queue.elsewhere), job)
        self._run(job, queue.size)
        return job

    def _dequeued(self, key: tuple[Size, tuple[str, ...]], job: Job) -> None:
        if not self._queues[key].jobs:
            del self._queues[key]
        self._waiting -= 1
        self.backlog = max(0.0, self.backlog - job.estimate)

    def _run(self, job: Job, size: Size) -> None:
        self._running[job.key] = job
        self._begun = True
        self._quiet = size.alone
        self._vcpus += size.vcpus
        self._memory += size.memory
        self._huge_pages += size.huge_pages


DOUBLED = 2.0
"""Seconds in which a forecast may become twice or half as long, besides that time passes."""

LEAST = 1.0
"""Seconds from which a forecast can grow again that was nearly over."""


class Forecast:
    """How long a run will likely still take, from what its cases took before and take now.

    Adds up what is left: known durations as they were, unknown ones as the mean of the others.

    The sum is divided by the parallelism seen so far (seconds of cases per second of the run).
    Where much is unknown, one case that takes long can make the mean many times as large: what is
    told approaches what is found, by a factor of two in :data:`DOUBLED` seconds at most.
    """

    def __init__(self, known: list[float | None]) -> None:
        """``known`` has each attempt's last duration in seconds, None where there is none."""
        self._known_left = sum(seconds for seconds in known if seconds is not None)
        self._unknown_left = sum(1 for seconds in known if seconds is None)
        self._spent = 0.0
        self._count = 0
        self._told: tuple[float, float] | None = None
        """When seconds were told last, and how many."""

    def expect(self, known: float | None, count: int) -> None:
        """There are ``count`` more attempts with that known duration, or fewer where negative."""
        if known is None:
            self._unknown_left += count
        else:
            self._known_left += count * known

    def finished(self, known: float | None, seconds: float) -> None:
        """An attempt with that known duration has taken ``seconds``."""
        if known is None:
            self._unknown_left -= 1
        else:
            self._known_left -= known
        self._spent += seconds
        self._count += 1

    def left(self, elapsed: float) -> float | None:
        """Seconds that are likely left after ``elapsed`` seconds; None while nothing is known."""
        if not self._count or elapsed <= 0:
            return None
        parallelism = max(self._spent / elapsed, 0.1)
        mean = self._spent / self._count
        left = max(0.0, self._known_left + self._unknown_left * mean) / parallelism
        if self._told is not None:
            then, told = self._told
            expected = max(told - (elapsed - then), LEAST)
            most = 2 ** ((elapsed - then) / DOUBLED)
            left = min(max(left, expected / most), expected * most)
        self._told = (elapsed, left)
        return left
