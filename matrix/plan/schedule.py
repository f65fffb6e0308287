"""Which job starts next, and how long all will take: a pure state machine that an asyncio shell
drives.

Events in (:meth:`Scheduler.finished`, :meth:`Scheduler.add`), instructions out
(:meth:`Scheduler.start`). Longest first, by the last known duration, because the longest case
bounds the run from below (Graham's LPT rule); within what its host has of vCPUs and memory, or up
to a fixed number of jobs; within its huge pages; one at a time where a job is to be alone. Hosts do
not wait for each other.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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


def _longest_first(job: Job) -> float:
    return -job.estimate


@dataclass(slots=True)
class _Queue:
    """Jobs of the same size, longest first."""

    vcpus: int
    memory: int
    alone: bool
    huge_pages: int
    jobs: deque[Job] = field(default_factory=deque)
    passed: int = 0


class Scheduler:
    """Jobs waiting and running on all hosts of a run."""

    def __init__(self, jobs: Iterable[Job], capacities: Mapping[str, Capacity]) -> None:
        """``capacities`` has every host of ``jobs``, by its name."""
        by_host: dict[str, list[Job]] = {host: [] for host in capacities}
        for job in jobs:
            by_host[job.host].append(job)
        self._capacities = capacities
        self._hosts = {
            host: HostScheduler(of_host, capacities[host]) for host, of_host in by_host.items()
        }

    @property
    def running(self) -> int:
        """How many jobs have been started and have not finished."""
        return sum(host.running for host in self._hosts.values())

    def add(self, job: Job) -> None:
        """One more job, which is as the others from here on."""
        self._hosts[job.host].add(job)

    def start(self) -> list[Job]:
        """The jobs to start now, on each host; they count as running from here on."""
        return [
            job
            for name, host in self._hosts.items()
            if host.waiting and self._has_room(name)
            for job in host.start()
        ]

    def _has_room(self, name: str) -> bool:
        """Whether the group of a host has room for it, if it has a group."""
        capacity = self._capacities[name]
        if not capacity.group or self._hosts[name].active:
            return True
        group = (
            host
            for other, host in self._hosts.items()
            if self._capacities[other].group == capacity.group
        )
        return sum(host.active for host in group) < capacity.most_hosts

    def upcoming(self) -> list[Job]:
        """Of each host that has something left, the job that will likely start next there."""
        jobs = (host.upcoming() for host in self._hosts.values())
        return [job for job in jobs if job is not None]

    def finished(self, job: Job) -> None:
        """A running job has ended. Raises KeyError for one that is not running."""
        self._hosts[job.host].finished(job.key)


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
        self._queues: dict[tuple[int, int, bool, int], _Queue] = {}
        self._waiting = 0
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
        queue = max(self._queues.values(), key=lambda queue: queue.jobs[0].estimate)
        fits = self._memory + queue.memory <= self._capacity.memory
        return queue.jobs[0] if fits else None

    def finished(self, key: tuple[int, int]) -> None:
        """A running job has ended. Raises KeyError for one that is not running."""
        job = self._running.pop(key)
        vcpus, memory, _, huge_pages = self._size(job)
        self._vcpus -= vcpus
        self._memory -= memory
        self._huge_pages -= huge_pages
        self._quiet = False  # it was the only one, if there was any
        assert self._vcpus >= 0  # noqa: S101 - an invariant of this class, not input
        assert self._memory >= 0  # noqa: S101 - as above

    def _queue(self, job: Job) -> "deque[Job]":
        """Where a job waits; it counts as waiting from here on."""
        self._waiting += 1
        size = self._size(job)
        return self._queues.setdefault(size, _Queue(*size)).jobs

    def _size(self, job: Job) -> tuple[int, int, bool, int]:
        """What a job counts for: never more than the host, or it could never start."""
        capacity = self._capacity
        return (
            min(job.vcpus, capacity.vcpus),
            min(job.memory, capacity.memory),
            job.alone,
            min(job.huge_pages, capacity.huge_pages),
        )

    def _next(self) -> Job | None:
        passed: list[_Queue] = []
        for queue in sorted(self._queues.values(), key=lambda queue: -queue.jobs[0].estimate):
            if self._fits(queue):
                for other in passed:
                    other.passed += 1
                return self._take(queue)
            if queue.passed >= PATIENCE:
                return None  # nothing passes it any more: the host drains for it
            passed.append(queue)
        return None

    def _fits(self, queue: _Queue) -> bool:
        if self._quiet or (queue.alone and self._running):
            return False
        if self._capacity.most is not None and len(self._running) >= self._capacity.most:
            return False
        if self._huge_pages + queue.huge_pages > self._capacity.huge_pages:
            return False
        if self._capacity.jobs is not None:
            return len(self._running) < self._capacity.jobs
        return (
            self._vcpus + queue.vcpus <= self._capacity.vcpus
            and self._memory + queue.memory <= self._capacity.memory
        )

    def _take(self, queue: _Queue) -> Job:
        job = queue.jobs.popleft()
        queue.passed = 0
        if not queue.jobs:
            del self._queues[queue.vcpus, queue.memory, queue.alone, queue.huge_pages]
        self._running[job.key] = job
        self._begun = True
        self._quiet = job.alone
        self._vcpus += queue.vcpus
        self._memory += queue.memory
        self._huge_pages += queue.huge_pages
        self._waiting -= 1
        return job


class Forecast:
    """How long a run will likely still take, from what its cases took before and take now.

    Adds up what is left: known durations as they were, unknown ones as the mean of the others.

    The sum is divided by the parallelism seen so far (seconds of cases per second of the run).
    """

    def __init__(self, known: list[float | None]) -> None:
        """``known`` has each attempt's last duration in seconds, None where there is none."""
        self._known_left = sum(seconds for seconds in known if seconds is not None)
        self._unknown_left = sum(1 for seconds in known if seconds is None)
        self._spent = 0.0
        self._count = 0

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
        return max(0.0, self._known_left + self._unknown_left * mean) / parallelism
