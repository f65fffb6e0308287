"""Explorations side by side, each in a process of its own: what one leaves is no other's."""

import asyncio
import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from matrix.cli.interrupts import INTERRUPTS, interrupts_put_off
from matrix.errors import HostError, MatrixError

JOB = "job-"
"""In the folder of all, what a job leaves is named so."""
GLANCE = 0.5
"""Seconds after which a wait is begun anew."""

Work = Callable[[int], Coroutine[Any, Any, None]]


def in_jobs(
    jobs: int,
    folder: Path,
    work: Work,
    meanwhile: AbstractContextManager[None] | None = None,
) -> None:
    """Do ``work`` of each number, as many at a time as there are; a single one in this process, if
    there is no ``meanwhile``.

    Args:
        jobs: how many.
        folder: exists; a job that its host fails leaves the reason there.
        work: done by each.
        meanwhile: goes on in this process once the jobs are started: a thread or a descriptor that
            it has is in none of theirs.

    Raises:
        KeyboardInterrupt: we were interrupted; the jobs were, too, and are over.
        HostError: a job was ended by its host, or died.
    """
    if jobs == 1 and meanwhile is None:
        asyncio.run(work(0))
        return
    context = multiprocessing.get_context("fork")  # what was prepared is there, and need not travel
    processes: list[ForkProcess] = []
    try:
        with _starting() as before:
            for job in range(jobs):
                processes.append(context.Process(target=_job, args=(folder, work, job, before)))
                processes[-1].start()
        with meanwhile or nullcontext():
            for process in processes:
                while process.is_alive():
                    # A signal that another thread of ours gets does not end the wait of this one.
                    process.join(GLANCE)
    except BaseException:  # above all KeyboardInterrupt: no job is left
        _end(processes)
        raise
    for path in sorted(folder.glob(f"{JOB}*.error")):
        raise HostError(path.read_text())
    for number, process in enumerate(processes):
        if process.exitcode:
            raise HostError(f"job {number} ended with status {process.exitcode}")


def _end(processes: Iterable[ForkProcess]) -> None:
    """Interrupt those that were started, and wait for them."""
    started = [process for process in processes if process.pid is not None]
    for process in started:
        if process.pid is not None and process.is_alive():
            with suppress(ProcessLookupError):  # its end was seen as we were interrupted
                os.kill(process.pid, signal.SIGINT)
    for process in started:
        process.join()


@dataclass(frozen=True, slots=True)
class Before:
    """What became of signals before jobs were started."""

    handlers: dict[signal.Signals, Any]
    blocked: Collection[int]


@contextmanager
def _starting() -> Iterator[Before]:
    """Jobs inherit blocked interrupts: in one that is not ready they would be lost, or kill it."""
    handlers = {number: signal.getsignal(number) for number in INTERRUPTS}
    with interrupts_put_off():
        before = Before(handlers, signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS))
        try:
            yield before
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before.blocked)


def _job(folder: Path, work: Work, number: int, before: Before) -> None:
    # Ctrl-C is for whoever started us, and tells us once: a second one would cut us short.
    os.setpgrp()
    try:
        # Ignored in the background of a shell, which is right for whoever started us alone.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, before.handlers[each])
        signal.pthread_sigmask(signal.SIG_SETMASK, before.blocked)
        try:
            asyncio.run(work(number))
        except MatrixError as error:
            (folder / f"{JOB}{number}.error").write_text(str(error))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is over: nothing is left to be cut short
    except KeyboardInterrupt:
        pass  # a job of ours: whoever started it says what was interrupted


def claimed(folder: Path, signature: str) -> bool:
    """Whether the first job to ask for that failure does now."""
    name = hashlib.sha256(signature.encode()).hexdigest()[:32]
    try:
        (folder / f"claim-{name}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
