"""The worker: runs the attempts that it is told to, until nobody is there to tell it.

It is a program of its own, or a fork of the orchestrator from before that had planned anything.
QEMUs are its children, so that they die with it (see :mod:`matrix.vm.process`). They hold the
lifeline open as it does: its other end is at its end once all of them are gone, which tells the
orchestrator that an attempt of a worker that was killed may be run again.
"""

import asyncio
import contextlib
import gc
import os
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix import __version__
from matrix.errors import HostError, HostLostError
from matrix.hosts.case_inputs import CaseInputs, Noted
from matrix.hosts.console_batch import UNREAD_MOST, ConsoleBatch
from matrix.hosts.contents import Contents
from matrix.hosts.interface import Assignment, Console, Ended, Executor, HopDone
from matrix.hosts.lines import LONGEST, WireError
from matrix.hosts.local.executor import LocalHost
from matrix.hosts.workers.wire import BEAT, Begin, Execute, Kind, decode, encode
from matrix.plan.schedule import Capacity
from matrix.vm.process import keep_open

STDERR = 2


def serve(control: int, lifeline: int) -> None:
    """Serve the orchestrator at the other end of ``control`` until it hangs up.

    Args:
        control: descriptor of a connected stream socket; ours from here on.
        lifeline: descriptor that is held open by us and by all that we start.

    Raises:
        WireError: it is no orchestrator of this version.
        OSError: ``control`` is no such descriptor.
    """
    connection = socket.socket(fileno=control)
    keep_open(lifeline)
    gc.freeze()
    gc.enable()
    asyncio.run(_serve(connection))


async def _serve(control: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=control, limit=LONGEST)
    if not (text := await reader.readline()):
        writer.close()
        return  # it had nothing to run
    begin = decode(text).body
    if not isinstance(begin, Begin) or begin.version != __version__:
        raise WireError(f"an orchestrator of version {__version__} was expected")
    _behave(begin)
    contents = Contents()
    host = LocalHost(begin.inventory, Capacity(1, 1))
    noting = None
    if begin.common is not None:
        noting = CaseInputs(begin.inventory, common=begin.common)
    async with host.open(Path(begin.run), contents) as executor, asyncio.TaskGroup() as tasks:
        work = tasks.create_task(_Work(reader, writer, executor, contents, noting).run(tasks))
        beat = tasks.create_task(_beat(writer))
        await asyncio.wait((work,))
        beat.cancel()
    writer.close()


def _behave(begin: Begin) -> None:
    """Make files as the orchestrator does, and say what is wrong where it wants that."""
    os.umask(begin.umask)
    if begin.log:
        log = os.open(begin.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        os.dup2(log, STDERR)
        os.close(log)


async def _beat(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(encode(Kind.BEAT))
        await asyncio.sleep(BEAT)


class _Attempt:
    """One that runs."""

    def __init__(self, number: int, token: str, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.token = token
        self.writer = writer
        self.task: asyncio.Task[None] | None = None
        self._console = ConsoleBatch(self._send)

    def emit(self, event: Console | HopDone) -> None:
        if isinstance(event, HopDone):
            self._console.flush()
            self.writer.write(encode(Kind.HOP, self.number, event))
        else:
            self._console.write(event.text)

    def over(self, kind: Kind, body: object) -> None:
        """Say how it ended."""
        self._console.flush()
        self.writer.write(encode(kind, self.number, body))

    def _send(self, console: Console) -> None:
        if self.writer.transport.get_write_buffer_size() < UNREAD_MOST:
            self.writer.write(encode(Kind.CONSOLE, self.number, console))


@dataclass(slots=True)
class _Work:
    """All attempts of this worker."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    executor: Executor
    contents: Contents
    noting: CaseInputs | None
    """Finds out what cases follow from; None: nobody wants to know."""
    attempts: dict[int, _Attempt] = field(default_factory=dict)

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Do what is said until the other end hangs up; then end all that runs."""
        with contextlib.suppress(ConnectionError):  # it was killed
            while text := await self.reader.readline():
                line = decode(text)
                self._do(line.kind, line.number, line.body, tasks)
                if line.kind is Kind.EXECUTE:
                    await asyncio.sleep(0)  # it is known to the executor before its release comes
        for attempt in self.attempts.values():
            if attempt.task is not None:
                attempt.task.cancel()

    def _do(self, kind: Kind, number: int, body: object, tasks: asyncio.TaskGroup) -> None:
        if isinstance(body, Execute):
            for name, path in body.paths:
                self.contents.place(name, Path(path))
            attempt = _Attempt(number, body.assignment.token, self.writer)
            self.attempts[number] = attempt
            attempt.task = tasks.create_task(self._execute(attempt, body.assignment))
        elif (known := self.attempts.get(number)) is None:
            return  # it has just ended
        elif kind is Kind.RELEASE:
            self.executor.release(known.token)
        elif kind is Kind.CANCEL:
            self.executor.cancel(known.token)

    async def _execute(self, attempt: _Attempt, assignment: Assignment) -> None:
        noted = None if self.noting is None else self.noting.of(assignment.decision)
        try:
            ended: Ended = await self.executor.execute(assignment, attempt.emit)
        except HostLostError as error:
            attempt.over(Kind.LOST, str(error))
        except HostError as error:
            attempt.over(Kind.FAILED, str(error))
        else:
            attempt.over(Kind.ENDED, _with_inputs(ended, noted))
        finally:
            del self.attempts[attempt.number]


def _with_inputs(ended: Ended, noted: Noted | None) -> Ended:
    """With what the attempt follows from, if that still holds."""
    if ended.attempt is None or noted is None or not noted.hold():
        return ended
    return Ended(replace(ended.attempt, inputs=noted.inputs))
