"""The QEMUs of this host that an orchestrator drives itself, for guests that go from host to host.

Their consoles, their stderr and their monitors are lines of the link, in the order in which they
came: what a QEMU says on its monitor comes after all that its guest has printed before. They live
no longer than the link, and no longer than the lease.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from matrix.errors import HostError, MatrixError
from matrix.hosts.console_batch import UNREAD_MOST
from matrix.hosts.fleet.lent_memory import Spool
from matrix.hosts.fleet.link import Link
from matrix.hosts.fleet.messages import (
    Data,
    Exited,
    FleetKind,
    Lend,
    Lent,
    LookAt,
    Lost,
    OpenPassage,
    Room,
    SendSignal,
    Start,
    Steer,
    Stream,
    Threads,
    Used,
)
from matrix.hosts.fleet.passages import Passages
from matrix.hosts.fleet.socket_sender import SocketSender
from matrix.hosts.interface import Assignment
from matrix.hosts.lines import Line
from matrix.migration.endpoint import Emulator
from matrix.vm.cgroups import oom_kills
from matrix.vm.cputime import Thread
from matrix.vm.location import HERE, Landing, LocalStarted, Streams
from matrix.vm.tasks import put_off_cancellation

USED_EVERY = 0.5
"""Seconds from one report of CPU time to the next; a stall is found by it."""
CHUNK = 1 << 16
"""Bytes per read of a monitor."""

NOT_ALONE = "its worker is not killed: other cases run there"

Order = Start | Data | SendSignal | LookAt | OpenPassage | Steer | Room | None
"""None: send what a QEMU has written of its guest."""

Outfit = Callable[[Assignment, tuple[str, ...]], Awaitable[tuple[Path, tuple[Emulator, ...]]]]
"""Gets an assignment, and names of installations; gives the attempt's folder, and how each of them
is started here.

Raises:
    MatrixError, OSError: one cannot be.
"""


class LentProcess:
    """One QEMU."""

    def __init__(self, start: Start, say: Callable[[FleetKind, object], None]) -> None:
        self._number = start.process
        self._say = say
        self._started: LocalStarted | None = None
        self._monitor: socket.socket | None = None
        self._sender: SocketSender | None = None
        self._oom_kills = oom_kills()
        self._loop = asyncio.get_running_loop()

    def hold(self, *, held: bool) -> None:
        """The link is full of what was said, or has room again."""
        if self._started is None:
            return
        self._started.hold(held=held)
        if self._monitor is not None:
            self._loop.remove_reader(self._monitor)
            if not held:
                self._loop.add_reader(self._monitor, self._hear)

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._started is not None and self._started.process.status is None

    async def start(self, start: Start) -> None:
        """Start it, and say what it says until it has ended."""
        streams = Streams(
            partial(self._output, Stream.CONSOLE),
            partial(self._output, Stream.ERRORS),
            self._failed,
            start.typing,
            start.incoming,
        )
        try:
            started = self._started = await HERE.start(start.launch, streams)
        except (HostError, OSError) as error:
            self.refuse(str(error))
            return
        self._monitor = started.take_peer()
        if self._monitor is not None:
            self._monitor.setblocking(False)
            self._sender = SocketSender(self._monitor)
            self._loop.add_reader(self._monitor, self._hear)
        started.process.on_exit(self._exited)

    def refuse(self, why: str) -> None:
        """It is not started."""
        self._say(FleetKind.EXITED, Exited(self._number, None, why=why))

    def feed(self, data: Data) -> None:
        """It is told something."""
        if data.stream is Stream.CONSOLE and self._started is not None:
            self._started.type(data.data)
        elif data.stream is Stream.MONITOR and self._sender is not None:
            self._sender.send(data.data)

    def signal(self, wanted: SendSignal) -> None:
        """Send it a signal."""
        if self._started is not None:
            self._started.process.kill_group(wanted.number)

    async def threads(self) -> tuple[Thread, ...]:
        """Its threads, while it runs."""
        return await self._started.process.threads(0.0) if self.runs and self._started else ()

    def cpu_seconds(self) -> float | None:
        """What it has used, while it runs."""
        return self._started.process.cpu_seconds() if self.runs and self._started else None

    async def close(self) -> None:
        """End it, and release what it holds.

        Raises:
            HostError: it survives SIGKILL.
        """
        if self._started is None:
            return
        try:
            await self._started.process.destroy()
        finally:
            self._close_monitor()
            self._started.close()

    def _output(self, stream: Stream, data: bytes) -> None:
        self._say(FleetKind.OUTPUT, Data(self._number, stream, data))

    def _failed(self, error: Exception) -> None:
        raise error  # nothing of ours does, and a bug is to be seen

    def _hear(self) -> None:
        """Its monitor has something to say, which its guest has printed before."""
        if self._started is None or self._monitor is None:
            return
        try:
            data = self._monitor.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:  # reset: it ended with commands unread
            data = b""
        self._started.drain()
        self._output(Stream.MONITOR, data)
        if not data:
            self._close_monitor()

    def _close_monitor(self) -> None:
        if self._monitor is not None and self._sender is not None:
            self._loop.remove_reader(self._monitor)
            self._sender.close()
            self._monitor.close()
            self._monitor = self._sender = None

    def _exited(self) -> None:
        assert self._started is not None  # noqa: S101 - it was
        self._started.drain()
        while self._monitor is not None and _readable(self._monitor):
            self._hear()
        process = self._started.process
        kills = oom_kills() - self._oom_kills
        self._say(
            FleetKind.EXITED,
            Exited(self._number, process.status, process.ended_by_us, max(0, kills)),
        )


def _readable(sock: socket.socket) -> bool:
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass  # reset: reading says so
    return True


class Lending:
    """The QEMUs of one attempt."""

    def __init__(self, number: int, link: Link, changed: Callable[[], None]) -> None:
        """``changed`` is called where they have become more or fewer."""
        self.number = number
        self._link = link
        self._changed = changed
        self._programs: frozenset[str] = frozenset()
        self._processes: dict[int, LentProcess] = {}
        self._passages = Passages()
        self._spool = Spool(number, link)
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._tell_used())]
        self._outfitting: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[None] | None = None

    @property
    def runs(self) -> bool:
        """Whether a QEMU of it runs."""
        return any(each.runs for each in self._processes.values())

    def begin(self, wanted: Lend, outfit: Outfit, landing: Landing) -> None:
        """Find out how they are started, and say so."""

        async def find_out() -> None:
            try:
                folder, emulators = await outfit(wanted.assignment, wanted.qemus)
            except (MatrixError, OSError) as error:
                self._say(FleetKind.LOST, Lost(str(error)))
                return
            except Exception as error:  # noqa: BLE001 - a bug, for which nobody waits for ever
                traceback.print_exc()
                why = f"internal error: {error!r}; its worker's log has more"
                self._say(FleetKind.LOST, Lost(why))
                return
            self._passages.lead_to(landing)
            self._spool.lie_in(folder)
            self._programs = frozenset(each.launch.argv[0] for each in emulators)
            self._say(FleetKind.LENT, Lent(emulators, landing))

        self._outfitting = asyncio.create_task(find_out())

    def order(self, order: Order) -> None:
        """Do that, after all that was ordered before."""
        self._orders.put_nowait(order)

    async def close(self) -> None:
        """End all of them."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await put_off_cancellation(asyncio.wait((self._closing,)))
        self._closing.result()

    async def _close(self) -> None:
        tasks = [*self._tasks, *filter(None, (self._outfitting, self._waiting))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        ended = await asyncio.gather(
            *(each.close() for each in self._processes.values()), return_exceptions=True
        )
        self._changed()
        await self._passages.close()
        self._spool.clear()
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    def _say(self, kind: FleetKind, body: object) -> None:
        self._link.say(kind, self.number, body)
        if kind is FleetKind.EXITED:
            self._changed()
        if self._waiting is None and self._link.unsent > UNREAD_MOST:
            self._waiting = asyncio.create_task(self._wait_for_link())

    async def _wait_for_link(self) -> None:
        """Read nothing more while the link is full: beats must not wait behind a flood."""
        for process in self._processes.values():
            process.hold(held=True)
        try:
            with contextlib.suppress(ConnectionError):  # who reads the link sees that, too
                await self._link.room()
        finally:
            self._waiting = None
            for process in self._processes.values():
                process.hold(held=False)

    async def _work(self) -> None:
        while True:
            order = await self._orders.get()
            if isinstance(order, Start):
                await self._start(order)
            elif isinstance(order, OpenPassage):
                self._say(FleetKind.OPENED, await self._passages.open(order))
            elif isinstance(order, Steer):
                await self._passages.steer(order)
            elif isinstance(order, Room):
                self._spool.room(order.size)
            elif order is None:
                await self._spool.send()
            elif (process := self._processes.get(order.process)) is None:
                continue
            elif isinstance(order, Data):
                process.feed(order)
            elif isinstance(order, LookAt):
                self._say(FleetKind.THREADS, Threads(order.process, await process.threads()))
            else:
                process.signal(order)

    async def _start(self, start: Start) -> None:
        process = LentProcess(start, self._say)
        if start.launch.argv[0] not in self._programs:
            process.refuse(f"{start.launch.argv[0]} is no QEMU of this attempt")
            return
        self._processes[start.process] = process
        await process.start(start)
        self._changed()

    async def _tell_used(self) -> None:
        while True:
            await asyncio.sleep(USED_EVERY)
            used = {number: each.cpu_seconds() for number, each in self._processes.items()}
            told = tuple((number, each) for number, each in used.items() if each is not None)
            if told:
                self._say(FleetKind.USED, Used(told))


def kill_ourselves() -> None:
    """SIGKILL: the kernel ends our QEMUs with us, and whoever is started in our place knows it."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(slots=True)
class Lendings:
    """All attempts whose QEMUs are driven from elsewhere."""

    outfit: Outfit
    landing: Landing | None
    changed: Callable[[], None]
    others_run: Callable[[], bool]
    """Whether there are attempts here whose QEMUs are not driven from elsewhere."""
    die: Callable[[], None] = kill_ourselves
    _open: dict[int, Lending] = field(default_factory=dict)
    _ending: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def run(self) -> bool:
        """Whether a QEMU of any of them runs."""
        return any(each.runs for each in self._open.values())

    def do(self, link: Link, line: Line[FleetKind]) -> None:
        """What the orchestrator has said of one of them."""
        number, body = line.number, line.body
        if isinstance(body, Lend):
            if self.landing is None:
                link.say(FleetKind.LOST, number, Lost("no guest of another host is taken in here"))
                return
            lending = self._open[number] = Lending(number, link, self.changed)
            lending.begin(body, self.outfit, self.landing)
        elif line.kind is FleetKind.DIE:
            if len(self._open) > 1 or self.others_run():
                link.say(FleetKind.LOST, number, Lost(NOT_ALONE))
            else:
                self.die()
        elif line.kind is FleetKind.ECHO:
            link.say(FleetKind.ECHO, number, time.time())
        elif line.kind is FleetKind.RETURN:
            ending = asyncio.create_task(self._give_back(link, number))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        elif number in self._open:
            self._open[number].order(body)

    async def end(self, why: str = "", link: Link | None = None) -> None:
        """End all of them; ``why``, where whoever drives them is to hear of it over ``link``."""
        ending = list(self._open.items())
        await asyncio.gather(*(each.close() for _, each in ending), return_exceptions=True)
        for number, _ in ending:
            self._open.pop(number, None)
            if why and link is not None:
                link.say(FleetKind.LAPSED, number, why)

    async def _give_back(self, link: Link, number: int) -> None:
        """End one that may be unknown: it was ended with its link, then."""
        if number in self._open:
            await self._open[number].close()
            self._open.pop(number, None)
        link.say(FleetKind.RETURNED, number)
