"""Where a QEMU is started, and what whoever drives it gets: its process, its console, its monitor.

There are two kinds of places: this machine (:class:`LocalPlace`), and a host of a fleet, through
its agent (:mod:`matrix.hosts.fleet.loan`). A guest's life and its hops are the same in both.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from matrix.model import ExitChannel, Launch
from matrix.vm.cgroups import oom_kills
from matrix.vm.console import OutputReader
from matrix.vm.cputime import Thread
from matrix.vm.process import spawn

Sink = Callable[[bytes], None]


class QemuProcess(Protocol):
    """A QEMU's process, here or elsewhere; see :class:`matrix.vm.process.Process`."""

    ended_by_us: bool

    @property
    def status(self) -> int | None:
        """Exit status, minus the signal's number if one killed it, None while it runs."""
        ...

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called from the event loop once it has ended."""
        ...

    async def ended_within(self, seconds: float) -> bool:
        """Whether it ends in that time, or has ended already."""
        ...

    def kill_group(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it started; nothing if it has ended."""
        ...

    async def stop(self, grace: float) -> None:
        """End it: SIGTERM, so many seconds to comply, then as :meth:`destroy`."""
        ...

    async def destroy(self) -> None:
        """Kill it and wait until it is gone; cancellation is put off until then.

        Raises:
            HostError: it survives SIGKILL.
        """
        ...

    def cpu_seconds(self) -> float | None:
        """Seconds of CPU that it has used, as far as is known."""
        ...

    async def threads(self, seconds: float) -> tuple[Thread, ...]:
        """Its threads; empty where they cannot be looked at in that time, or it has ended."""
        ...


class Started(Protocol):
    """A QEMU that was started, with its streams; to be closed once it has ended."""

    @property
    def process(self) -> QemuProcess:
        """Its process."""
        ...

    def take_peer(self) -> socket.socket | None:
        """Our end of its monitor's connection, the caller's to close; None where there is none, or
        it was taken."""
        ...

    def type(self, data: bytes) -> None:
        """Type on its console; what it does not take at once may be lost."""
        ...

    def drain(self) -> None:
        """Pass on, without waiting, all of its output that is here."""
        ...

    def close(self) -> None:
        """Release its streams; idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Streams:
    """What a QEMU is connected to."""

    output: Sink
    """Gets what its guest prints."""
    errors: Sink
    """Gets its stderr."""
    failed: Callable[[Exception], None]
    """Told of what the host, or a sink, raised where there was no caller to raise it to."""
    typing: bool = False
    """It has an input, for :meth:`Started.type`."""
    incoming: bool = False
    """It waits for ``migrate-incoming``, not for ``cont``."""


@dataclass(frozen=True, slots=True)
class Landing:
    """What a host offers to guests that come from others, by its fleet's file."""

    address: str
    """Where its QEMUs listen."""
    first_port: int
    last_port: int
    credentials: str
    """Folder there with its own key and certificates, as ``tls-creds-x509`` takes it."""
    certificate_name: str
    """What its certificate is for: ``tls-hostname``."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """How far a host's clock is ahead of ours, at most ``bound`` seconds off."""

    ahead: float = 0.0
    bound: float = 0.0

    def hull(self, other: "ClockReading") -> "ClockReading":
        """What is true of all the time between two readings, if the clocks drift evenly."""
        least = min(self.ahead - self.bound, other.ahead - other.bound)
        most = max(self.ahead + self.bound, other.ahead + other.bound)
        return ClockReading((least + most) / 2, (most - least) / 2)


class Passage(Protocol):
    """A way for connections to a port of a host, which can be disturbed."""

    @property
    def host(self) -> str:
        """The address of its near end."""
        ...

    @property
    def port(self) -> int:
        """The port of its near end."""
        ...

    def stall(self) -> None:
        """Let nothing pass any more, either way; connections stay, also new ones."""
        ...

    def flow(self) -> None:
        """Let everything pass again."""
        ...

    async def drop(self, *, reset: bool = True, cut: bool = True) -> None:
        """See :meth:`matrix.migration.faults.proxy.Proxy.drop`."""
        ...


@runtime_checkable
class Passable(Protocol):
    """A place on another host, whose QEMUs can be reached through a passage on that host."""

    def passage(self, port: int) -> AbstractAsyncContextManager[Passage]:
        """A passage to that port, where a QEMU of its listens; it is gone when this is left.

        Raises:
            HostError: the host has no port for it.
        """
        ...


@runtime_checkable
class Remote(Protocol):
    """A place whose disk is not ours: what a QEMU writes there has to be fetched."""

    async def room(self, size: int) -> str:
        """The path there at which a QEMU may write so many bytes.

        Raises:
            HostError: there is no room, or the host is lost.
        """
        ...

    async def fetch(self, path: Path) -> None:
        """Have what was written there at ``path`` of this machine, and nowhere else.

        Raises:
            HostError: it cannot be read or written, or the host is lost.
        """
        ...


@runtime_checkable
class Mortal(Protocol):
    """A place whose QEMUs end with the process that has started them, which is not ours."""

    def kill_worker(self) -> None:
        """Have that process killed. That nothing of it runs any more is told, as of any process
        that ends, once it is certain; the place is :attr:`Place.gone` from here on."""
        ...


class Place(Protocol):
    """Where QEMUs are started."""

    @property
    def host(self) -> str:
        """Its name; empty for this machine."""
        ...

    @property
    def landing(self) -> Landing | None:
        """Where guests of other hosts arrive; None on this machine."""
        ...

    @property
    def gone(self) -> bool:
        """Whether no QEMU can be started there any more."""
        ...

    async def start(self, launch: Launch, streams: Streams) -> Started:
        """Start a QEMU, stopped, with a monitor if ``launch`` has one.

        Raises:
            OSError: no descriptors are left.
            HostError: it cannot be started.
        """
        ...

    def oom_kills(self) -> int:
        """How many processes of ours the kernel has killed there because memory ran out."""
        ...

    def clock(self) -> ClockReading | None:
        """How its clock differs from ours, as far as that was compared lately; None where it was
        not."""
        ...


def monitor_arguments(descriptor: int, *, stopped: bool = True) -> tuple[str, ...]:
    """The options that every QEMU of ours gets: a QMP monitor on ``descriptor``, and ``-S``.

    Not ``stopped`` is one that takes a guest in: with ``-S`` it would leave that paused.
    """
    chardev = f"socket,id=matrix-monitor,fd={descriptor}"
    # Not -mon, which 11.1 warns of as deprecated, nor -object monitor-qmp, which older ones lack.
    arguments = ("-chardev", chardev, "-qmp", "chardev:matrix-monitor")
    return (*arguments, "-S") if stopped else arguments


class LocalPlace:
    """This machine."""

    host = ""
    landing: Landing | None = None
    gone = False

    async def start(self, launch: Launch, streams: Streams) -> "LocalStarted":
        """See :class:`Place`."""
        started = LocalStarted()
        try:
            await started.start(launch, streams)
        except BaseException:  # a cancellation too: nothing stays open
            started.close()
            raise
        return started

    def oom_kills(self) -> int:
        """See :class:`Place`."""
        return oom_kills()

    def clock(self) -> ClockReading | None:
        """See :class:`Place`."""
        return ClockReading()


@dataclass(slots=True)
class LocalStarted:
    """A QEMU of this machine with its pipes."""

    _process: QemuProcess | None = None
    _readers: list[OutputReader] = field(default_factory=list)
    _peer: socket.socket | None = None
    _input: int = -1
    """Our end of a pipe that is the program's input, where it has one."""

    @property
    def process(self) -> QemuProcess:
        """See :class:`Started`."""
        assert self._process is not None  # noqa: S101 - nobody gets one that was not started
        return self._process

    async def start(self, launch: Launch, streams: Streams) -> None:
        """Start it. A program that has no monitor runs its guest from here on.

        Raises:
            OSError: no descriptors are left.
            SpawnError: it cannot be started.
        """
        with contextlib.ExitStack() as theirs:
            stdout = self._pipe(theirs, streams.output, streams.failed)
            program = launch.channel is ExitChannel.STATUS
            stderr = stdout if program else self._pipe(theirs, streams.errors, streams.failed)
            options: tuple[str, ...] = ()
            passed: tuple[int, ...] = ()
            stdin = subprocess.DEVNULL
            if streams.typing or not launch.monitor:
                stdin = self._keyboard(theirs)
            if launch.monitor:
                self._peer, monitor = socket.socketpair()
                theirs.callback(monitor.close)
                passed = (monitor.fileno(),)
                options = monitor_arguments(*passed, stopped=not streams.incoming)
                options += ("-incoming", "defer") if streams.incoming else ()
            self._process = await spawn(
                (*launch.argv, *options),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=passed,
                environment=launch.environment,
            )

    def take_peer(self) -> socket.socket | None:
        """See :class:`Started`."""
        peer, self._peer = self._peer, None
        return peer

    def type(self, data: bytes) -> None:
        """What a guest is told is short: what its pipe does not take at once is lost, as is all
        that is typed to a program that has ended, or has no input."""
        if self._input < 0:
            return
        with contextlib.suppress(BrokenPipeError, BlockingIOError):  # ended, or it does not read
            os.write(self._input, data)

    def drain(self) -> None:
        """See :class:`Started`."""
        for reader in self._readers:
            reader.drain()

    def hold(self, *, held: bool) -> None:
        """Read none of its output, or read it again."""
        for reader in self._readers:
            if held:
                reader.hold()
            else:
                reader.go_on()

    def close(self) -> None:
        """See :class:`Started`."""
        for reader in self._readers:
            reader.close()
        if self._peer is not None:
            self._peer.close()
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    def _pipe(
        self, theirs: contextlib.ExitStack, sink: Sink, failed: Callable[[Exception], None]
    ) -> int:
        """A pipe whose output goes to ``sink``; returns QEMU's end of it."""
        reader, qemus = OutputReader.of_pipe(sink, failed)
        theirs.callback(os.close, qemus)
        self._readers.append(reader)
        return qemus

    def _keyboard(self, theirs: contextlib.ExitStack) -> int:
        """An input that never ends: at its end kvmtool would spin. Returns QEMU's end of it."""
        qemus, self._input = os.pipe()
        theirs.callback(os.close, qemus)
        os.set_blocking(self._input, False)
        return qemus


HERE = LocalPlace()
"""This machine."""
