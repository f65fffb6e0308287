"""This machine as a host whose cases are run by worker processes.

One process feeds some hundred trivial cases a second; a machine of many CPUs has room for more. A
worker that is killed takes its QEMUs with it. Its attempts are run again by another, twice at most:
what loses three workers is an error.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from matrix import __version__
from matrix.hosts.case_inputs import Common
from matrix.hosts.contents import Contents
from matrix.hosts.interface import Assignment, Ended
from matrix.hosts.local.executor import not_started
from matrix.hosts.survey import ignore_step
from matrix.hosts.workers.spares import Spare
from matrix.hosts.workers.wire import Begin
from matrix.hosts.workers.worker_process import SILENCE, Emit, WorkerLostError, WorkerProcess
from matrix.inventory import Inventory
from matrix.plan.decisions import LOCAL
from matrix.plan.schedule import Capacity
from matrix.results.directory import RunDirectory
from matrix.vm.tasks import in_thread

LIVES = 3
"""Workers that may be lost with an attempt, which may be none of its doing."""
LOGS = "workers"
"""Folder of the run directory with what workers wrote to stderr."""


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """This machine, by worker processes. Files of cases are where they are."""

    inventory: Inventory
    capacity: Capacity
    count: int
    """Processes at most: the next is started when each has something to do."""
    on_lost: Callable[[str], None] = ignore_step
    """Told why a worker is gone, whose cases run again."""
    silence: float = SILENCE
    """Seconds until one that shows no sign of life is given up."""
    common: Common | None = None
    """See :class:`matrix.hosts.workers.wire.Begin`."""
    spares: list[Spare] = field(default_factory=list)
    """Workers that are there already; taken from the list as they are told to begin."""
    same_paths: ClassVar[bool] = True
    """See :class:`matrix.hosts.interface.Host`."""
    name: str = LOCAL

    @property
    def notes_inputs(self) -> bool:
        """See :class:`matrix.hosts.interface.Host`."""
        return self.common is not None

    @asynccontextmanager
    async def open(self, run: Path, contents: Contents) -> AsyncIterator["WorkersExecutor"]:
        """See :class:`matrix.hosts.interface.Host`."""
        executor = WorkersExecutor(self, RunDirectory(run), contents)
        try:
            while self.spares:
                await executor.take(self.spares)
            yield executor
        finally:
            await executor.close()


@dataclass(slots=True)
class _Underway:
    """An attempt, whichever worker has it."""

    assignment: Assignment
    emit: Emit
    worker: WorkerProcess | None = None
    released: bool = False
    cancelled: bool = False


class WorkersExecutor:
    """Gives each attempt to the worker that has least to do."""

    def __init__(self, host: LocalWorkers, run: RunDirectory, contents: Contents) -> None:
        """Runs cases of ``run`` on ``host``."""
        self._host = host
        self._run = run
        self._contents = contents
        self._workers: list[WorkerProcess] = []
        self._starting = asyncio.Lock()
        self._started = 0
        self._underway: dict[str, _Underway] = {}

    def release(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        if (underway := self._underway.get(token)) is not None:
            underway.released = True
            if underway.worker is not None:
                underway.worker.release(underway.assignment.token)

    def cancel(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        if (underway := self._underway.get(token)) is not None:
            underway.cancelled = True
            if underway.worker is not None:
                underway.worker.cancel(underway.assignment.token)

    async def execute(self, assignment: Assignment, emit: Emit) -> Ended:
        """See :class:`matrix.hosts.interface.Executor`."""
        underway = _Underway(assignment, emit)
        self._underway[assignment.token] = underway
        why = ""
        try:
            for _ in range(LIVES):
                try:
                    return await self._execute(underway)
                except WorkerLostError as error:
                    why = str(error)
                if underway.cancelled:
                    return Ended(None)
                await in_thread(partial(self._run.renew, assignment.folder))
            return Ended(not_started(assignment, f"{LIVES} workers were lost with it; {why}"))
        finally:
            del self._underway[assignment.token]

    async def close(self) -> None:
        """End all workers."""
        await asyncio.gather(*(worker.close() for worker in self._workers))
        with suppress(OSError):  # not empty, or never made
            (self._run.path / LOGS).rmdir()

    async def _execute(self, underway: _Underway) -> Ended:
        worker = await self._least_loaded()
        if underway.cancelled:
            return Ended(None)
        assignment = underway.assignment
        if underway.released:
            assignment = replace(assignment, held=False)
        paths = tuple((each.name, str(self._contents.path(each.name))) for each in assignment.files)
        underway.worker = worker
        try:
            return await worker.execute(assignment, paths, underway.emit)
        except WorkerLostError:
            self._drop(worker)
            raise
        finally:
            underway.worker = None

    async def _least_loaded(self) -> WorkerProcess:
        """A worker, started where all have something to do and there may be another.

        Raises:
            HostLostError: none can be started.
        """
        async with self._starting:
            living = [worker for worker in self._workers if not worker.lost]
            least = min(living, key=lambda worker: worker.load, default=None)
            if least is not None and (not least.load or len(living) >= self._host.count):
                return least
            worker = await WorkerProcess.start(self._begin(), self._log(), self._host.silence)
            self._workers.append(worker)
            return worker

    async def take(self, spares: list[Spare]) -> None:
        """Have one of the spare workers begin."""
        spare = spares.pop()
        begin, log = self._begin(), self._log()
        self._workers.append(await WorkerProcess.take(spare, begin, log, self._host.silence))

    def _log(self) -> Path:
        """What the next worker writes to stderr."""
        self._started += 1
        folder = self._run.path / LOGS
        folder.mkdir(exist_ok=True)
        return folder / f"{self._started}.log"

    def _begin(self) -> Begin:
        umask = os.umask(0o077)
        os.umask(umask)
        inventory, common = self._host.inventory, self._host.common
        return Begin(__version__, str(self._run.path), umask, inventory, common=common)

    def _drop(self, worker: WorkerProcess) -> None:
        """Say once that a worker is lost; its log stays."""
        if worker in self._workers:
            self._workers.remove(worker)
            self._host.on_lost(worker.lost)
