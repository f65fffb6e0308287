"""Explorations side by side, each in a process of its own: what one leaves is no other's."""

import asyncio
import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Collection, Coroutine, Iterable
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from matrix.errors import HostError, MatrixError

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
JOB = "job-"
"""In the folder of all, what a job leaves is named so."""
GLANCE = 0.5
"""Seconds after which a wait is begun anew."""

Work = Callable[[int], Coroutine[Any, Any, None]]


def in_jobs(jobs: int, folder: Path, work: Work) -> None:
    """Do ``work`` of each number, as many at a time as there are; a single one in this process.

    Raises:
        KeyboardInterrupt: we were interrupted; the jobs were, too, and are over.
        HostError: a job was ended by its host, or died.
    """
    if jobs == 1:
        asyncio.run(work(0))
        return
    context = multiprocessing.get_context("fork")  # what was prepared is there, and need not travel
    taken = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    processes = [
        context.Process(target=_job, args=(folder, work, job, taken)) for job in range(jobs)
    ]
    try:
        _start(processes, taken)
        for process in processes:
            while process.is_alive():
                # A signal that another thread of ours gets does not end the wait of this one.
                process.join(GLANCE)
    except BaseException:  # above all KeyboardInterrupt: no job is left
        for process in processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGINT)
        for process in processes:
            if process.pid is not None:
                process.join()
        raise
    for path in sorted(folder.glob(f"{JOB}*.error")):
        raise HostError(path.read_text())
    for number, process in enumerate(processes):
        if process.exitcode:
            raise HostError(f"job {number} ended with status {process.exitcode}")


def _start(processes: Iterable[ForkProcess], taken: Collection[int]) -> None:
    # An interrupt that comes before a job is ready for it would be lost, or kill it.
    signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        for process in processes:
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, taken)


def _job(folder: Path, work: Work, number: int, taken: Collection[int]) -> None:
    # Ctrl-C is for whoever started us, and tells us once: a second one would cut us short.
    os.setpgrp()
    try:
        # Ignored in the background of a shell, which is right for whoever started us alone.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, taken)
        asyncio.run(work(number))
    except KeyboardInterrupt:
        pass
    except MatrixError as error:
        (folder / f"{JOB}{number}.error").write_text(str(error))


def claimed(folder: Path, signature: str) -> bool:
    """Whether the first job to ask for that failure does now."""
    name = hashlib.sha256(signature.encode()).hexdigest()[:32]
    try:
        (folder / f"claim-{name}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
