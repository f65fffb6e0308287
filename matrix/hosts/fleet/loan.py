"""QEMUs of another host, driven from here through the host's agent: the other end of
:mod:`matrix.hosts.fleet.lending`.

A loan is a :class:`matrix.vm.location.Place`. It is lost with its link, at once. What it started is
gone when the agent says so, or when the host's lease is over: until then nobody who waits for the
end of one of its QEMUs is told that it has come.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from matrix.errors import HostError, HostLostError
from matrix.hosts.fleet.clock_comparison import ClockComparison
from matrix.hosts.fleet.lent_memory import LentMemory
from matrix.hosts.fleet.messages import (
    Data,
    Deed,
    Exited,
    FleetKind,
    Lent,
    LookAt,
    Opened,
    OpenPassage,
    Piece,
    Room,
    SendSignal,
    Start,
    Steer,
    Stream,
    Threads,
    Used,
)
from matrix.hosts.fleet.socket_sender import SocketSender
from matrix.migration.endpoint import Emulator
from matrix.model import Launch
from matrix.vm.cputime import Thread
from matrix.vm.location import ClockReading, Landing, Streams
from matrix.vm.process import ENDING, UNKILLABLE
from matrix.vm.tasks import put_off_cancellation

ECHO_EVERY = 0.05
"""Seconds from one comparison of the clocks to the next."""
SLOWER = 1.0
"""Seconds that the network may add to what a process is given."""
FAREWELL = 1.0
"""Seconds that a host that cannot be reached is waited for when the user ends the run."""
CHUNK = 1 << 16
KILLED = -signal.SIGKILL

Answer = TypeVar("Answer")
Say = Callable[[FleetKind, object], None]


class RemoteProcess:
    """A QEMU's process on another host: a :class:`matrix.vm.location.QemuProcess`."""

    def __init__(self, number: int, say: Say, what: str, patience: float) -> None:
        """``what`` names it; ``patience``: seconds until nothing of a lost host can be running."""
        self.ended_by_us = False
        self.used: float | None = None
        """Seconds of CPU, as was told last."""
        self._number = number
        self._say = say
        self._what = what
        self._patience = patience
        self._looking: asyncio.Future[tuple[Thread, ...]] | None = None
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def status(self) -> int | None:
        """See :class:`matrix.vm.location.QemuProcess`."""
        return self._exit.result() if self._exit.done() else None

    def on_exit(self, callback: Callable[[], None]) -> None:
        """See :class:`matrix.vm.location.QemuProcess`."""
        self._exit.add_done_callback(lambda _: callback())

    async def ended_within(self, seconds: float) -> bool:
        """See :class:`matrix.vm.location.QemuProcess`."""
        if not self._exit.done():
            await asyncio.wait((self._exit,), timeout=seconds)
        return self._exit.done()

    def kill_group(self, number: signal.Signals) -> None:
        """See :class:`matrix.vm.location.QemuProcess`."""
        if not self._exit.done():
            self.ended_by_us |= number in ENDING
            self._say(FleetKind.SIGNAL, SendSignal(self._number, number))

    async def stop(self, grace: float) -> None:
        """See :class:`matrix.vm.location.QemuProcess`."""
        self.kill_group(signal.SIGTERM)
        if not await self.ended_within(grace + SLOWER):
            await self.destroy()

    async def destroy(self) -> None:
        """See :class:`matrix.vm.location.QemuProcess`."""
        self.kill_group(signal.SIGKILL)
        if not await put_off_cancellation(self.ended_within(UNKILLABLE + self._patience)):
            raise HostError(f"{self._what} survives SIGKILL")

    def cpu_seconds(self) -> float | None:
        """See :class:`matrix.vm.location.QemuProcess`."""
        return self.used

    async def threads(self, seconds: float) -> tuple[Thread, ...]:
        """See :class:`matrix.vm.location.QemuProcess`."""
        looking = self._looking = asyncio.get_running_loop().create_future()
        self._say(FleetKind.LOOK_AT, LookAt(self._number))
        await asyncio.wait(
            (looking, self._exit), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        return looking.result() if looking.done() else ()

    def looked_at(self, threads: tuple[Thread, ...]) -> None:
        """The host has looked at them."""
        if self._looking is not None and not self._looking.done():
            self._looking.set_result(threads)

    def exited(self, status: int, *, ended_by_us: bool) -> None:
        """It has ended."""
        self.ended_by_us = ended_by_us
        if not self._exit.done():
            self._exit.set_result(status)


class RemoteStarted:
    """A QEMU of another host with its streams: a :class:`matrix.vm.location.Started`."""

    def __init__(self, number: int, process: RemoteProcess, streams: Streams, say: Say) -> None:
        self.process = process
        self.streams = streams
        self._number = number
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._peer: socket.socket | None
        self._relay: socket.socket | None
        self._peer, self._relay = socket.socketpair()
        self._over = False
        """Nothing more comes of the monitor."""
        self._relay.setblocking(False)
        self._sender = SocketSender(self._relay, self._sent)
        self._loop.add_reader(self._relay, self._forward)

    def take_peer(self) -> socket.socket | None:
        """See :class:`matrix.vm.location.Started`."""
        peer, self._peer = self._peer, None
        return peer

    def type(self, data: bytes) -> None:
        """See :class:`matrix.vm.location.Started`."""
        self._say(FleetKind.FEED, Data(self._number, Stream.CONSOLE, data))

    def drain(self) -> None:
        """See :class:`matrix.vm.location.Started`: what has come was passed on."""

    def close(self) -> None:
        """See :class:`matrix.vm.location.Started`."""
        self._hang_up()
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def take(self, data: Data) -> None:
        """It has said something."""
        match data.stream:
            case Stream.CONSOLE:
                self._pass_on(self.streams.output, data.data)
            case Stream.ERRORS:
                self._pass_on(self.streams.errors, data.data)
            case Stream.MONITOR:
                self._over |= not data.data
                self._send(data.data)

    def exited(self, told: Exited) -> None:
        """It has ended, or was never started."""
        self._over = True
        self._send(b"")
        if told.status is None:
            self.streams.failed(HostError(told.why))
        status = KILLED if told.status is None else told.status
        self.process.exited(status, ended_by_us=told.ended_by_us)

    def lose(self, error: HostError | None) -> None:
        """Nothing can be said to it any more; whether it runs is not known. None: as it was to
        be."""
        self._hang_up()
        if error is not None:
            self.streams.failed(error)

    def _pass_on(self, sink: Callable[[bytes], None], data: bytes) -> None:
        try:
            sink(data)
        except Exception as error:  # noqa: BLE001 - as OutputReader does
            self.streams.failed(error)

    def _forward(self) -> None:
        """Its monitor is told something."""
        if self._relay is None:
            return
        data = b""
        with contextlib.suppress(OSError):  # reset: whoever drove it is gone
            data = self._relay.recv(CHUNK)
        if data:
            self._say(FleetKind.FEED, Data(self._number, Stream.MONITOR, data))
        else:
            self._hang_up()

    def _send(self, data: bytes) -> None:
        """To whoever drives it, unless they have hung up."""
        if self._relay is not None:
            self._sender.send(data)

    def _sent(self) -> None:
        if self._over:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._relay is not None:
            self._loop.remove_reader(self._relay)
            self._sender.close()
            self._relay.close()
            self._relay = None


@dataclass(frozen=True, slots=True)
class RemotePassage:
    """A way to a QEMU of another host, on that host: a :class:`matrix.vm.location.Passage`."""

    host: str
    port: int
    number: int
    say: Say

    def stall(self) -> None:
        """See :class:`matrix.vm.location.Passage`."""
        self._steer(Deed.STALL)

    def flow(self) -> None:
        """See :class:`matrix.vm.location.Passage`."""
        self._steer(Deed.FLOW)

    async def drop(self, *, reset: bool = True, cut: bool = True) -> None:
        """See :class:`matrix.vm.location.Passage`; otherwise than by default it is not done."""
        assert reset and cut  # noqa: S101, PT018 - nobody wants more of another host's
        self._steer(Deed.DROP)

    def close(self) -> None:
        """It is not needed any more."""
        self._steer(Deed.CLOSE)

    def _steer(self, deed: Deed) -> None:
        self.say(FleetKind.STEER, Steer(self.number, deed))


class Loan:
    """The QEMUs of one attempt on one host: a :class:`matrix.vm.location.Place`."""

    def __init__(self, host: str, number: int, say: Say, patience: float) -> None:
        self.host = host
        self.number = number
        self.landing: Landing | None = None
        self.emulators: tuple[Emulator, ...] = ()
        self.lost: HostError | None = None
        self.trouble = ""
        self._say_it = say
        self._patience = patience
        self._comparison = ClockComparison()
        self._started: dict[int, RemoteStarted] = {}
        self._passages: dict[int, asyncio.Future[Opened]] = {}
        self._memory = LentMemory(self._say, self._unless_lost)
        self._oom_kills = 0
        self._doomed = False
        """Its agent was told to kill itself: its loss is no trouble."""
        loop = asyncio.get_running_loop()
        self._lent: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[None] = loop.create_future()
        self._losing: asyncio.Future[None] = loop.create_future()
        self._echoing = asyncio.create_task(self._echo())

    async def lent(self) -> None:
        """Wait until it can be used.

        Raises:
            HostError: the host cannot start what is wanted.
        """
        await asyncio.wait((self._lent,))
        self._lent.result()

    async def over(self) -> None:
        """Wait until nothing of it runs."""
        await asyncio.wait((self._over,))

    async def start(self, launch: Launch, streams: Streams) -> RemoteStarted:
        """See :class:`matrix.vm.location.Place`."""
        if self.lost is not None:
            raise HostLostError(str(self.lost))
        number = len(self._started) + 1
        what = f"a QEMU of {self.host}"
        process = RemoteProcess(number, self._say, what, self._patience)
        started = self._started[number] = RemoteStarted(number, process, streams, self._say)
        self._say(FleetKind.START, Start(number, launch, streams.typing, streams.incoming))
        return started

    @asynccontextmanager
    async def passage(self, port: int) -> AsyncIterator[RemotePassage]:
        """See :class:`matrix.vm.location.Passable`."""
        number = len(self._passages) + 1
        opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self._passages[number] = opened
        self._say(FleetKind.PASSAGE, OpenPassage(number, port))
        told = await self._unless_lost(opened)
        if not told.port or self.landing is None:
            raise HostError(f"host {self.host}: {told.why}")
        passage = RemotePassage(self.landing.address, told.port, number, self._say)
        try:
            yield passage
        finally:
            passage.close()

    async def _unless_lost(self, answer: "asyncio.Future[Answer]") -> Answer:
        """Wait for an answer.

        Raises:
            HostLostError: it is not going to come.
        """
        if self.lost is None:
            await asyncio.wait((answer, self._losing), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise HostLostError(str(self.lost))
        return answer.result()

    async def room(self, size: int) -> str:
        """See :class:`matrix.vm.location.Remote`."""
        return await self._memory.room(size)

    async def fetch(self, path: Path) -> None:
        """See :class:`matrix.vm.location.Remote`."""
        await self._memory.fetch(path)

    @property
    def gone(self) -> bool:
        """See :class:`matrix.vm.location.Place`."""
        return self.lost is not None or self._doomed

    def kill_worker(self) -> None:
        """See :class:`matrix.vm.location.Mortal`."""
        self._say(FleetKind.DIE, None)
        self._doomed = True

    def oom_kills(self) -> int:
        """See :class:`matrix.vm.location.Place`."""
        return self._oom_kills

    def clock(self) -> ClockReading | None:
        """See :class:`matrix.vm.location.Place`."""
        return self._comparison.reading()

    def hear(self, kind: FleetKind, body: object) -> None:
        """What the agent says of it."""
        match body:
            case Lent():
                self.landing = body.landing
                self.emulators = tuple(replace(each, host=self.host) for each in body.emulators)
                _set(self._lent)
            case Data() | Used() | Threads() | Exited():
                self._hear_of_qemus(body)
            case Opened() if opened := self._passages.get(body.passage):
                opened.set_result(body)
            case Room() | Piece():
                self._memory.hear(body)
            case float():
                self._comparison.take(body)
            case _ if kind in (FleetKind.LOST, FleetKind.LAPSED):
                self._doomed = False  # it has not been killed
                self.lose(HostError(f"host {self.host}: {body}"))
            case _ if kind is FleetKind.RETURNED:
                self.end()
            case _:
                pass  # of what has ended

    def _hear_of_qemus(self, body: Data | Used | Threads | Exited) -> None:
        if isinstance(body, Used):
            for number, seconds in body.cpu_seconds:
                if started := self._started.get(number):
                    started.process.used = seconds
        elif (of := self._started.get(body.process)) is None:
            return  # it has ended
        elif isinstance(body, Data):
            of.take(body)
        elif isinstance(body, Threads):
            of.process.looked_at(body.threads)
        else:
            self._exited(of, body)

    def _exited(self, started: RemoteStarted, told: Exited) -> None:
        self._oom_kills += told.oom_kills
        if told.status is None:
            self.trouble = self.trouble or told.why
        started.exited(told)

    def lose(self, error: HostError) -> None:
        """It cannot be used any more, and what it has started may still run."""
        if self.lost is not None or self._over.done():
            return
        self.lost = error
        if not self._doomed:
            self.trouble = self.trouble or str(error)
        _set(self._losing)
        self._echoing.cancel()
        if not self._lent.done():
            self._lent.set_exception(error)
            self._lent.exception()  # seen
        for started in self._started.values():
            if started.process.status is None:
                started.lose(None if self._doomed else error)

    def end(self) -> None:
        """Nothing of it runs any more."""
        self._echoing.cancel()
        _set(self._over)
        for started in self._started.values():
            started.process.exited(KILLED, ended_by_us=True)

    def forgo(self) -> None:
        """See :class:`matrix.hosts.spanning.Loan`."""
        if self.lost is not None:
            asyncio.get_running_loop().call_later(FAREWELL, self.end)

    def _say(self, kind: FleetKind, body: object) -> None:
        if self.lost is None and not self._over.done():
            self._say_it(kind, body)

    async def _echo(self) -> None:
        while True:
            if self._comparison.send():
                self._say(FleetKind.ECHO, 0.0)
            await asyncio.sleep(ECHO_EVERY)


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
