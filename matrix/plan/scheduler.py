"""Which job starts next on which of a run's hosts: a pure state machine that an asyncio shell
drives.

Events in (:meth:`Scheduler.finished`, :meth:`Scheduler.add`, :meth:`Scheduler.avoid`), instructions
out (:meth:`Scheduler.start`). A job waits on the host that it was planned for. A host on which
nothing waits any more takes, from the one that has most left, the longest job that may run on both.

A gang takes its places on all of its hosts at once, or none: nothing waits while it holds a place,
so that there is no deadlock. The first gang that was passed too often gets its hosts reserved, one
by one as they have no starved job of their own, and nothing else starts on those until it does; the
others wait for that without reserving anything. What runs ends, so every job starts.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from matrix.plan.schedule import PATIENCE, Capacity, HostScheduler, Job


@dataclass(slots=True, eq=False)
class _Gangs:
    """Waiting gangs of the same size on the same hosts, longest first."""

    jobs: deque[Job] = field(default_factory=deque)
    passed: int = 0
    """By jobs that started on one of its hosts since one of these did."""


class Scheduler:
    """Jobs waiting and running on all hosts of a run."""

    def __init__(self, jobs: Iterable[Job], capacities: Mapping[str, Capacity]) -> None:
        """``capacities`` has every host of ``jobs``, by its name."""
        by_host: dict[str, list[Job]] = {host: [] for host in capacities}
        self._gangs: dict[tuple[object, ...], _Gangs] = {}
        self._starved: list[_Gangs] = []
        """In the order in which they were passed too often."""
        self._reserved: set[str] = set()
        """Hosts on which nothing starts before the first of those."""
        self._avoided: set[str] = set()
        self._held: set[str] = set()
        self._kept: set[tuple[int, int]] = set()
        self._shared = 0
        """Places that running gangs have beside their first."""
        for job in sorted(jobs, key=lambda job: -job.estimate):
            if job.gang:
                self._gangs_like(job).jobs.append(job)
            else:
                by_host[job.host].append(job)
        self._capacities = capacities
        self._hosts = {
            host: HostScheduler(of_host, capacities[host]) for host, of_host in by_host.items()
        }

    @property
    def running(self) -> int:
        """How many jobs have been started and have not finished."""
        return sum(host.running for host in self._hosts.values()) - self._shared

    def add(self, job: Job) -> None:
        """One more job, which is as the others from here on."""
        if job.gang:
            gangs = self._gangs_like(job)
            gangs.jobs = deque(sorted((*gangs.jobs, job), key=lambda job: -job.estimate))
            return
        others = [name for name in job.elsewhere if name in self._hosts.keys() - self._avoided]
        if job.host in self._avoided and others:
            host = min(others, key=self._left)
            job = replace(job, host=host, elsewhere=tuple(n for n in others if n != host))
        self._hosts[job.host].add(job)

    def start(self) -> list[Job]:
        """The jobs to start now, each with its host; they count as running from here on."""
        started = self._start_gangs() if self._gangs else []
        for name, host in self._hosts.items():
            if host.waiting and self._is_free(name):
                for job in host.start():
                    self._note(job)
                    started.append(job)
        if len(self._hosts) > 1:
            started += self._move()
        return started

    def upcoming(self) -> list[Job]:
        """Of each host that has something left, the job that will likely start next there."""
        free = (host for name, host in self._hosts.items() if self._is_free(name))
        return [job for host in free if (job := host.upcoming()) is not None]

    def keep(self, job: Job) -> None:
        """A waiting job that has been prepared on its host starts there, and nowhere else."""
        self._kept.add(job.key)

    def finished(self, job: Job) -> None:
        """A running job has ended. Raises KeyError for one that is not running."""
        for name in job.hosts:
            self._hosts[name].finished(job.key)
        self._shared -= len(job.hosts) - 1

    def avoid(self, name: str) -> None:
        """What may run elsewhere does not start on that host any more, where least is left to do.

        What runs there goes on, and what cannot run elsewhere starts there as before.
        """
        self._avoided.add(name)
        for job in self._hosts[name].clear():
            kept = job.key in self._kept
            (self._hosts[name] if kept else self).add(job)

    def hold(self, name: str) -> None:
        """Nothing starts on that host before :meth:`release`."""
        self._held.add(name)

    def release(self, name: str, *, use: bool) -> None:
        """What waits there may start again; to ``use`` it is to avoid it no longer, either."""
        self._held.discard(name)
        if use:
            self._avoided.discard(name)

    def waits_for_held(self) -> bool:
        """Whether something waits for a host that is held."""
        gangs = (gang for each in self._gangs.values() for gang in each.jobs)
        return any(self._hosts[name].waiting for name in self._held) or any(
            not self._held.isdisjoint(gang.hosts) for gang in gangs
        )

    def _left(self, name: str) -> float:
        """Seconds that a host will likely need for what waits there, by its size."""
        capacity = self._capacities[name]
        return self._hosts[name].backlog / (capacity.jobs or capacity.vcpus)

    def _is_free(self, name: str) -> bool:
        """Whether jobs may start on a host, be there room or not."""
        if name in self._reserved or name in self._held:
            return False
        capacity = self._capacities[name]
        if not capacity.group or self._hosts[name].active:
            return True
        group = (
            host
            for other, host in self._hosts.items()
            if self._capacities[other].group == capacity.group
        )
        return sum(host.active for host in group) < capacity.most_hosts

    def _move(self) -> list[Job]:
        """Start jobs on hosts that have none left of their own, on the one with most room first."""
        started = []
        names = [
            name
            for name, host in self._hosts.items()
            if not host.waiting and name not in self._avoided
        ]
        while names:
            name = min(names, key=lambda name: self._hosts[name].load)
            job = self._taken_for(name) if self._is_free(name) else None
            if job is None:
                names.remove(name)
                continue
            self._hosts[name].begin(job)
            self._note(job)
            started.append(job)
        return started

    def _taken_for(self, name: str) -> Job | None:
        """The longest job of the host with most left that may run on ``name`` and fits there."""
        host = self._hosts[name]
        for other in sorted(self._hosts, key=self._left, reverse=True):
            jobs = [
                job
                for job in self._hosts[other].movable(name)
                if job.key not in self._kept and host.fits(job)
            ]
            if jobs:
                job = max(jobs, key=lambda job: job.estimate)
                self._hosts[other].remove(job)
                return replace(job, host=name)
        return None

    def _gangs_like(self, job: Job) -> _Gangs:
        key = (job.hosts, job.vcpus, job.memory, job.alone, job.huge_pages)
        return self._gangs.setdefault(key, _Gangs())

    def _serve(self, gangs: _Gangs) -> None:
        """These are not starved any more, and have nothing reserved."""
        gangs.passed = 0
        if gangs in self._starved:
            if gangs is self._starved[0]:
                self._reserved.clear()
            self._starved.remove(gangs)

    def _start_gangs(self) -> list[Job]:
        started = []
        while (key := next(filter(self._can_start, self._by_turn()), None)) is not None:
            gangs = self._gangs[key]
            job = gangs.jobs[0]
            for name in job.hosts:
                self._hosts[name].begin(job)
            self._note(job)
            self._shared += len(job.hosts) - 1
            gangs.jobs.popleft()
            self._serve(gangs)
            if not gangs.jobs:
                del self._gangs[key]
            started.append(job)
        if self._starved:
            hosts = self._starved[0].jobs[0].hosts
            self._reserved.update(name for name in hosts if not self._hosts[name].starved)
        return started

    def _by_turn(self) -> list[tuple[object, ...]]:
        """The starved first, in their order, then the longest."""
        turns = {gangs: turn for turn, gangs in enumerate(self._starved)}

        def order(key: tuple[object, ...]) -> tuple[int, float]:
            gangs = self._gangs[key]
            return turns.get(gangs, len(turns)), -gangs.jobs[0].estimate

        return sorted(self._gangs, key=order)

    def _can_start(self, key: tuple[object, ...]) -> bool:
        gangs = self._gangs[key]
        first = bool(self._starved) and self._starved[0] is gangs
        job = gangs.jobs[0]
        return all(
            self._hosts[name].fits(job)
            and name not in self._held
            and ((first and name in self._reserved) or self._may_begin(name))
            for name in job.hosts
        )

    def _may_begin(self, name: str) -> bool:
        return self._is_free(name) and not self._hosts[name].starved

    def _note(self, started: Job) -> None:
        """A job has started: gangs that wait for one of its hosts have been passed."""
        self._kept.discard(started.key)
        for gangs in self._gangs.values():
            if not set(started.hosts).isdisjoint(gangs.jobs[0].hosts):
                gangs.passed += 1
                if gangs.passed == PATIENCE:
                    self._starved.append(gangs)
