"""One worker as the orchestrator sees it: its process, what it was given, and its end."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.attempt import signal_name
from matrix.errors import HostError, HostLostError
from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.hosts.lines import LONGEST, Line
from matrix.hosts.workers.spares import WORDS, Spare
from matrix.hosts.workers.wire import BEAT, Begin, Execute, Kind, decode, encode
from matrix.places import own_command
from matrix.vm.process import UNKILLABLE, Process, spawn
from matrix.vm.tasks import put_off_cancellation

SILENCE = 60.0
"""Seconds without a sign of life, of which there is one a second, until a worker is given up."""
GRACE = 5.0
"""Seconds that a worker has to end when it is told to; its QEMUs take a moment to be reaped."""

Emit = Callable[[Console | HopDone], None]


class WorkerLostError(HostLostError):
    """A worker is gone, and all that it had started."""


@dataclass(slots=True)
class _Given:
    """An attempt that the worker has."""

    token: str
    emit: Emit
    ended: "asyncio.Future[Ended]"


@dataclass(slots=True)
class WorkerProcess:
    """A running worker."""

    process: Process
    log: Path
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _lifeline: int
    """The end that is read."""
    _silence: float
    _given: dict[int, _Given] = field(default_factory=dict)
    _count: int = 0
    _watch: "asyncio.Task[None] | None" = None
    lost: str = ""
    """Why it takes no attempts any more; empty where it does."""

    @classmethod
    async def start(cls, begin: Begin, log: Path, silence: float = SILENCE) -> "WorkerProcess":
        """Start one; it is given attempts from here on, and runs them when it is up.

        Args:
            begin: what it is told first.
            log: takes what it writes to stderr: nothing, if all is well.
            silence: seconds after which one that shows no sign of life is given up.

        Raises:
            HostLostError: none can be started.
        """
        try:
            return await cls._start(begin, log, silence)
        except (OSError, HostError) as error:
            raise HostLostError(f"no worker can be started: {error}") from error

    @classmethod
    async def _start(cls, begin: Begin, log: Path, silence: float) -> "WorkerProcess":
        ours, theirs = socket.socketpair()
        alive, held = os.pipe()
        with contextlib.ExitStack() as unless_started, log.open("ab") as errors, theirs:
            unless_started.callback(ours.close)
            unless_started.callback(os.close, alive)
            try:
                numbers = theirs.fileno(), held
                argv = (*own_command(), "worker", "--descriptors", *map(str, numbers))
                process = await spawn(argv, stderr=errors.fileno(), pass_fds=numbers)
            finally:
                os.close(held)
            os.set_blocking(alive, False)
            streams = await asyncio.open_connection(sock=ours, limit=LONGEST)
            unless_started.pop_all()
        worker = cls(process, log, *streams, alive, silence)
        worker.begin(begin)
        return worker

    @classmethod
    async def take(
        cls, spare: Spare, begin: Begin, log: Path, silence: float = SILENCE
    ) -> "WorkerProcess":
        """The same of one that was forked already."""
        streams = await asyncio.open_connection(sock=spare.control, limit=LONGEST)
        process = Process(spare.child, WORDS)
        worker = cls(process, log, *streams, spare.lifeline, silence)
        worker.begin(replace(begin, log=str(log)))
        return worker

    def begin(self, begin: Begin) -> None:
        """Tell it what it is told first, and listen to it from here on."""
        self._writer.write(encode(Kind.BEGIN, body=begin))
        self._watch = asyncio.create_task(self._listen())

    @property
    def load(self) -> int:
        """How many attempts it has."""
        return len(self._given)

    async def execute(
        self, assignment: Assignment, paths: tuple[tuple[str, str], ...], emit: Emit
    ) -> Ended:
        """As :meth:`matrix.hosts.interface.Executor.execute`.

        Raises:
            WorkerLostError: the worker is gone, and so is every process of the attempt.
            HostError: as it was raised there.
        """
        if self.lost:
            raise WorkerLostError(self.lost)
        self._count += 1
        number = self._count
        given = _Given(assignment.token, emit, asyncio.get_running_loop().create_future())
        self._given[number] = given
        self._writer.write(encode(Kind.EXECUTE, number, Execute(assignment, paths)))
        try:
            await asyncio.wait((given.ended,))
        except asyncio.CancelledError:
            await put_off_cancellation(self._end(given))
            raise
        finally:
            del self._given[number]
            if given.ended.done() and not given.ended.cancelled():
                given.ended.exception()  # seen
        return given.ended.result()

    def release(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        self._tell(Kind.RELEASE, token)

    def cancel(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        self._tell(Kind.CANCEL, token)

    def _tell(self, kind: Kind, token: str) -> None:
        for number, given in self._given.items():
            if given.token == token:
                self._writer.write(encode(kind, number))

    async def _end(self, given: _Given) -> None:
        """End an attempt, if need be with all others of this worker."""
        self._tell(Kind.CANCEL, given.token)
        await asyncio.wait((given.ended,), timeout=GRACE)
        if not given.ended.done():
            await self.process.destroy()
            await asyncio.wait((given.ended,))

    async def close(self) -> None:
        """Tell it to end, and wait until all of it is gone.

        Raises:
            HostError: the kernel does not let it die.
        """
        self._writer.close()
        if not await put_off_cancellation(self.process.ended_within(GRACE)):
            await self.process.destroy()
        if self._watch is not None:
            await put_off_cancellation(asyncio.wait((self._watch,)))

    async def _listen(self) -> None:
        """Hear what it says until its end, and tell that to whoever waits for an attempt."""
        why = ""
        try:
            while text := await self._line():
                self._hear(decode(text))
        except TimeoutError:
            why = f"it showed no sign of life for {self._silence:g} s"
        except HostLostError as error:
            why = str(error)
        except OSError:
            pass  # it ended before it had read all
        except ValueError as error:  # a line of more than LONGEST bytes
            why = str(error)
        self._writer.close()
        # One that only hung up ends by itself, and its status says more.
        if why or not await self.process.ended_within(GRACE):
            await self.process.destroy()
        gone = await self._all_gone()
        self.lost = (
            f"the worker {_how(self.process.status)}{why and f': {why}'}{self._last_words()}"
        )
        for given in self._given.values():
            lost: HostError = WorkerLostError(self.lost)
            if not gone:
                lost = HostError(f"{self.lost}; a process that it had started survives SIGKILL")
            if not given.ended.done():
                given.ended.set_exception(lost)

    async def _line(self) -> bytes:
        """The next one; empty at the end.

        Raises:
            TimeoutError: it is silent.
        """
        try:
            async with asyncio.timeout(self._silence):
                return await self._reader.readline()
        except TimeoutError:
            # Where this process itself stood still, timers are over before what has come is read.
            async with asyncio.timeout(2 * BEAT):
                return await self._reader.readline()

    def _hear(self, line: Line[Kind]) -> None:
        given = self._given.get(line.number)
        if given is None or given.ended.done():
            return
        match line.kind:
            case Kind.CONSOLE | Kind.HOP:
                given.emit(line.body)
            case Kind.ENDED:
                given.ended.set_result(line.body)
            case Kind.LOST:
                given.ended.set_exception(HostLostError(line.body))
            case Kind.FAILED:
                given.ended.set_exception(HostError(line.body))
            case _:
                pass  # a beat, or what only we say

    async def _all_gone(self) -> bool:
        """Wait for the end of all that the worker had started; False where something stays."""
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(self._lifeline, gone.set)  # nobody writes to it: readable is its end
        try:
            await asyncio.wait_for(gone.wait(), UNKILLABLE)
        except TimeoutError:
            return False
        else:
            return True
        finally:
            loop.remove_reader(self._lifeline)
            os.close(self._lifeline)

    def _last_words(self) -> str:
        """The last line that it wrote to stderr, as a clause."""
        try:
            lines = self.log.read_bytes()[-4096:].decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if not last:
            self.log.unlink(missing_ok=True)
        return f" ({last})" if last else ""


def _how(status: int | None) -> str:
    """How a process ended, in words."""
    if status is None:
        return "is gone"
    if status < 0:
        return f"was killed by {signal_name(-status)}"
    return f"ended with status {status}"
