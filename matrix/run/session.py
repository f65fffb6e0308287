"""Carries a plan out: starts what the scheduler says, journals what ends, and stops when told to.

All decisions are :mod:`matrix.plan.schedule`'s; this is only the shell around them. A finished
attempt is on disk before its slot is given to the next one.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from matrix.model import Attempt, Case
from matrix.plan.decisions import Decision, Run
from matrix.plan.forecast import Forecast
from matrix.plan.schedule import Capacity, Job, Scheduler
from matrix.results.recorder import Recorder
from matrix.run.executor import Assignment, Executor
from matrix.run.progress import Progress, Running
from matrix.suites.console import ConsoleParser

STARTING = 0.004
"""Seconds after which a QEMU has surely been spawned, and surely does not greet yet: that takes 20
to 100 ms."""


@dataclass(slots=True)
class Stop:
    """How the user ends a run: once to finish cleanly, twice to end at once."""

    event: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def requested(self) -> bool:
        """Whether the run was asked to end."""
        return self.event.is_set()


class Session:
    """One execution of a plan."""

    def __init__(
        self,
        recorder: Recorder,
        executor: Executor,
        capacity: Capacity,
        progress: Progress,
        durations: Mapping[str, float],
        *,
        meanwhile: Iterable[object] = (),
    ) -> None:
        """One step of ``meanwhile`` is taken whenever a guest has been started and is not ready
        yet; steps must be short, and need not all be taken."""
        self._meanwhile = iter(meanwhile)
        self._recorder = recorder
        self._executor = executor
        self._capacity = capacity
        self._progress = progress
        self._durations = durations
        self._running: dict[tuple[int, int], Running] = {}
        self._ended: asyncio.Queue[tuple[Job, Attempt | None]] = asyncio.Queue()
        self._interrupted: list[Case] = []
        self._forecast = Forecast([])
        self._since = time.monotonic()

    async def run(self, decisions: list[Decision], stop: Stop) -> tuple[Case, ...]:
        """Run what is left of ``decisions``; gives the cases that an interrupt cut short.

        Raises HostError (in an ExceptionGroup of one) where the host cannot go on.
        """
        jobs = [
            self._job(index, number, decision)
            for index, decision in enumerate(decisions)
            if isinstance(decision, Run)
            for number in self._recorder.attempts_left(decision.case)
        ]
        self._forecast = Forecast([self._known(decisions[job.key[0]].case) for job in jobs])
        self._since = time.monotonic()
        scheduler = Scheduler(jobs, self._capacity)
        self._progress.planned(decisions, len(jobs))
        async with asyncio.TaskGroup() as tasks:
            while True:
                if not stop.requested:
                    for job in scheduler.start():
                        tasks.create_task(self._execute(job, decisions[job.key[0]], stop))
                if not scheduler.running:
                    break
                job, attempt = await self._ended.get()
                scheduler.finished(job.key)
                self._end(job, attempt)
        if self._interrupted:
            self._progress.interrupted(tuple(self._interrupted))
        return tuple(self._interrupted)

    def _job(self, index: int, number: int, decision: Run) -> Job:
        """Without a known duration the timeout stands for it: what may be long starts first."""
        known = self._known(decision.case)
        estimate = decision.case.timeout if known is None else known
        return Job((index, number), decision.vcpus, decision.memory, estimate)

    def _known(self, case: Case) -> float | None:
        """Seconds that the case took last time."""
        return self._durations.get(case.id)

    async def _execute(self, job: Job, decision: Decision, stop: Stop) -> None:
        assert isinstance(decision, Run)  # noqa: S101 - only these became jobs
        directory = self._recorder.begin(decision.case, job.key[1])
        running = Running(decision, job.key[1], time.monotonic(), ConsoleParser())
        self._running[job.key] = running
        self._progress.started(running)
        asyncio.get_running_loop().call_later(STARTING, next, self._meanwhile, None)
        attempt = await self._executor.execute(
            Assignment(decision, job.key[1], directory), running.console, stop.event
        )
        if attempt is not None:
            self._recorder.finish(decision.case, attempt)
        self._ended.put_nowait((job, attempt))

    def _end(self, job: Job, attempt: Attempt | None) -> None:
        running = self._running.pop(job.key)
        if attempt is None:
            self._interrupted.append(running.decision.case)
            return
        self._forecast.finished(self._known(running.decision.case), attempt.seconds)
        left = self._forecast.left(time.monotonic() - self._since)
        self._progress.finished(running, attempt, left)
