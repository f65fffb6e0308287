"""One QEMU process with its pipes, logs and monitor, from its start until nothing is left of it."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.attempt import Assist, Ending, signal_name
from matrix.errors import MonitorError
from matrix.model import ExitChannel, Launch
from matrix.suites.stderr import complaint, host_complaint
from matrix.vm.console import Tail
from matrix.vm.location import HERE, Place, QemuProcess, Started, Streams
from matrix.vm.logs import Logs
from matrix.vm.monitor import Ahead, EventCallback, Monitor
from matrix.vm.tasks import put_off_cancellation
from matrix.vm.trace_lines import TraceLines

EXIT_GRACE = 1.0
"""Seconds that QEMU has to exit after closing its monitor, being asked to quit, or SIGTERM."""
LAST_WORDS = 2.0
"""Seconds to hear out the monitor of a QEMU that has exited: what it said lies in the socket."""
CANNOT_EXECUTE = (126, 127)
"""Exit statuses of a wrapper script or of the dynamic loader that find no program to run."""
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""Statuses of a QEMU that was killed, and of a wrapper script around one."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Why the guest is over, and what there is to say about it."""

    ending: Ending
    reason: str = ""


class Session:
    """A QEMU that runs or has run; it must be closed.

    Args:
        directory: where the diagnosis of a guest that hangs goes.
        on_console: gets what the guest prints.
        open_logs: makes or gives the logs, with a transcript where there is a monitor.
        failed: told of what the host, or ``on_console``, raised where there was no caller to raise
            it to.
        name: tells the processes of a guest that is migrated apart.
        place: where QEMU is started.
    """

    on_event: EventCallback | None = None
    """Gets every event, with the host's time, after it was taken in here."""
    process: QemuProcess | None = None
    monitor: Monitor | None = None
    started = False
    """The guest has run: ``cont`` was accepted, QEMU said RESUME, or the guest has printed."""
    kvm_enabled: bool | None = None
    panic_action: str | None = None
    """``action`` of GUEST_PANICKED (pause, poweroff, run), None where there was none."""
    shutdown_reason = ""
    run_state = "running"
    """What ``query-status`` said last, where it was asked."""
    silent = False
    """QEMU has said STOP since it said RESUME last, or has ended: all that the guest printed there
    until then was taken in."""
    on_silent: Callable[[], None] | None = None
    """Called when it is."""
    traces: TraceLines | None = None
    """Takes trace events out of the stderr, where QEMU was told to write some."""

    def __init__(
        self,
        directory: Path,
        on_console: Callable[[bytes], None],
        open_logs: Callable[[bool], Logs],
        failed: Callable[[Exception], None],
        *,
        name: str = "",
        place: Place = HERE,
    ) -> None:
        self.directory = directory
        self.name = name
        self.place = place
        self.console = Tail()
        self.errors = Tail()
        self._launch: Launch | None = None
        self._released = False
        self._hearing: asyncio.Task[None] | None = None
        self._connected: asyncio.Future[None] | None = None
        """Done when :meth:`connect` is over, however it went; None before."""
        self._stopping = False
        self.assists: Counter[Assist] = Counter()
        """What was done to the guest so that QEMU works faster (:mod:`matrix.vm.tlb`)."""
        self.halted = asyncio.Event()
        """QEMU has sent STOP: its vCPUs do not run, for a reason that ``query-status`` tells."""
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Conclusion] = self.loop.create_future()
        """Set once QEMU has exited, or the host has failed us."""
        self.last_output = self.loop.time()
        self.begun = time.monotonic()
        self._over: float | None = None
        self._waited = 0.0
        self._oom_kills = place.oom_kills()
        self._on_console = on_console
        self._open_logs = open_logs
        self._logs: Logs | None = None
        self._failed = failed
        self._streams: Started | None = None

    @property
    def seconds(self) -> float:
        """Wall time from QEMU's start to its end, or until now, less what it had to wait."""
        return (self._over or time.monotonic()) - self.begun - self._waited

    @property
    def launch(self) -> Launch | None:
        """What it was started with; None before that."""
        return self._launch

    async def start(self, launch: Launch, *, typing: bool = False, incoming: bool = False) -> None:
        """Start QEMU, stopped (``-S``), with its monitor on a socketpair, and open the logs.

        A program that has no monitor runs its guest from here on. With ``typing`` its input is a
        pipe for :meth:`type`; with ``incoming`` it waits for ``migrate-incoming``, and not for
        ``cont``, as the source's vCPUs run.

        Raises:
            OSError: the logs cannot be created, or no descriptors are left.
            SpawnError: QEMU cannot be started.
        """
        self._launch = launch
        if not launch.monitor:
            self._released = True
            self.started = launch.channel is ExitChannel.STATUS
        streams = Streams(self._console_output, self._error_output, self.fail, typing, incoming)
        try:
            self._streams = await self.place.start(launch, streams)
            self.process = self._streams.process
        finally:
            # Creating three files takes a millisecond, in which QEMU can start already; what
            # it says is only read when this coroutine waits.
            self._logs = self._open_logs(launch.monitor)
        self.process.on_exit(self._exited)

    async def connect(self, seconds: float, *, release: bool = False) -> Conclusion | None:
        """Connect the monitor; None once it answers. The guest stays where it is, unless it is to
        be let run at once (``release``), whose outcome :meth:`boot` waits for.

        Whatever goes wrong is given the time to turn out as QEMU's exit, which says more.
        """
        peer = None if self._streams is None else self._streams.take_peer()
        if self._launch is None or (self._launch.monitor and peer is None):
            raise RuntimeError("connect comes once, after start")
        if peer is None:
            return None
        self._connected = self.loop.create_future()
        kvm = any("kvm" in word for word in self._launch.argv)  # a refusal is no reason to fail
        ahead = [Ahead("query-kvm", answered=self._kvm_told)] if kvm else []
        if release:
            ahead.append(Ahead("cont", sent=self._release, answered=self._start))
        try:
            self.monitor = await Monitor.connect(
                peer, seconds, on_event=self._event, record=self._record, ahead=ahead
            )
        except MonitorError as error:
            self._connected.set_result(None)
            return await self._not_started(error)
        finally:
            if not self._connected.done():
                self._connected.set_result(None)
        return None

    async def wait_for(self, turn: asyncio.Event) -> None:
        """Leave the guest stopped until its turn comes."""
        since = time.monotonic()
        await turn.wait()
        self._waited += time.monotonic() - since

    async def boot(self, seconds: float) -> Conclusion | None:
        """Let the guest run, connecting to its monitor first where that was not done; None once it
        runs. What goes wrong as for :meth:`connect`."""
        deadline = self.loop.time() + seconds
        if self.monitor is None:
            failed = await self.connect(seconds, release=True)
            if failed is not None or self.monitor is None:
                return failed
        self._release()  # as it was already, unless the monitor was connected before
        if self.started:  # its monitor may be closed again
            return None
        try:
            await self.monitor.execute("cont", timeout=deadline - self.loop.time())
        except MonitorError as error:
            return await self._not_started(error)
        self._start()
        return None

    def _release(self) -> None:
        """From here on what is printed may be the guest's."""
        self._released = True

    def _start(self, _reply: object = None) -> None:
        self.started = True

    async def _not_started(self, error: MonitorError) -> Conclusion:
        if await self.exits_within(EXIT_GRACE):
            return await self.over()
        return Conclusion(Ending.ERROR, f"the guest was not started: {error}")

    def type(self, data: bytes) -> None:
        """Type on the guest's console, where the session was started with ``typing``.

        What a guest is told is short: what it does not take at once may be lost, as is all that is
        typed to a program that has ended, or has no input.
        """
        if self._streams is not None:
            self._streams.type(data)

    def drain(self) -> None:
        """Take in, without waiting, all that the guest has printed until now."""
        if self._streams is not None:
            self._streams.drain()

    async def over(self) -> Conclusion:
        """Wait for the end of QEMU, and for its last words."""
        return await asyncio.shield(self.ended)

    async def exits_within(self, seconds: float) -> bool:
        """Whether QEMU ends by itself in that time."""
        return self.process is None or await self.process.ended_within(seconds)

    async def stop(self, *, politely: bool) -> None:
        """End QEMU by escalation: ``quit`` if ``politely``, SIGTERM, SIGKILL; await its exit.

        Raises:
            HostError: it survives SIGKILL.
        """
        self._stopping = True
        if self.process is None or self.process.status is not None:
            return
        if politely and self.monitor is not None and self.monitor.alive:
            with contextlib.suppress(MonitorError):  # quit may outrun its own reply
                await self.monitor.execute("quit", timeout=EXIT_GRACE)
            if await self.process.ended_within(EXIT_GRACE):
                return
        await self.process.stop(EXIT_GRACE)

    def quit(self) -> None:
        """Tell a QEMU whose guest is over to exit; it is told nothing more."""
        self._stopping = True
        if self.monitor is not None:
            self.monitor.finish("quit")

    async def close(self) -> None:
        """Kill QEMU if it lives, take in its last words, and release everything.

        Raises:
            HostError: QEMU survives SIGKILL.
        """
        try:
            if self.process is not None:
                await self.process.destroy()
            if self._hearing is not None:
                await put_off_cancellation(self._hearing)
        finally:
            if self._streams is not None:
                self._streams.drain()
                self._streams.close()
            if self.monitor is not None:
                self.monitor.close()

    def fail(self, error: Exception) -> None:
        """Conclude because of ``error``, which is not QEMU's."""
        self._failed(error)
        self._conclude(Conclusion(Ending.ERROR, str(error)))

    def _console_output(self, data: bytes) -> None:
        self.last_output = self.loop.time()
        self.started |= self._released  # QEMU itself prints too: -cpu help, for one
        self.console.write(data)
        self._on_console(data)

    def _error_output(self, data: bytes) -> None:
        if self.traces is not None:
            data = self.traces.feed(data)
        self._note_errors(data)

    def _note_errors(self, data: bytes) -> None:
        if data and self._logs is not None:
            self._logs.errors(data, self.name)
        self.errors.write(data)

    def _kvm_told(self, reply: object) -> None:
        enabled = reply.get("enabled") if isinstance(reply, dict) else None
        self.kvm_enabled = enabled if isinstance(enabled, bool) else None

    def _event(self, name: str, data: Mapping[str, Any], at: float) -> None:
        match name:
            case "RESUME":
                self.started = self._released = True
                self.silent = False
            case "STOP":
                self.halted.set()
                self._fall_silent()
            case "GUEST_PANICKED":
                self.panic_action = str(data.get("action", ""))
            case "SHUTDOWN" if not self._stopping:
                self.shutdown_reason = str(data.get("reason", ""))
            case _:
                pass
        if self.on_event is not None:
            self.on_event(name, data, at)

    def _fall_silent(self) -> None:
        self.silent = True
        if self.on_silent is not None:
            self.on_silent()

    def _record(self, direction: str, message: bytes) -> None:
        try:
            if self._logs is not None:
                self._logs.record(direction, message, self.name)
        except OSError as error:
            self.fail(error)

    def _exited(self) -> None:
        self._over = time.monotonic()
        self.drain()
        self._fall_silent()
        if self.traces is not None:
            self._note_errors(self.traces.rest())
        if self._connected is None:
            self._conclude(self._judge_exit())
        else:
            self._hearing = self.loop.create_task(self._hear_out(self._connected))

    async def _hear_out(self, connected: "asyncio.Future[None]") -> None:
        """Take in what QEMU said last, then conclude.

        Its exit and its last events may reach us at the same moment, and a panic, a shutdown, or
        that the guest was started at all must not be lost to that. A guest that was let run behind
        the negotiation can even be over before that is.
        """
        await asyncio.wait((connected,), timeout=LAST_WORDS)
        if self.monitor is not None:
            await self.monitor.wait_closed(LAST_WORDS)
        self._conclude(self._judge_exit())

    def _judge_exit(self) -> Conclusion:
        status = self.process.status if self.process is not None else None
        if status is None:
            raise RuntimeError("QEMU has not exited")
        lines = self.errors.lines()
        told = complaint(lines)
        program = "QEMU" if self._launch is None else self._launch.program
        if status in KILLED and self._out_of_memory():
            what = f"the host ran out of memory: the kernel's OOM killer killed {program}"
            return Conclusion(Ending.ERROR, what)
        if (status < 0 or not self.started) and (said := host_complaint(lines)):
            return Conclusion(Ending.ERROR, f"the host cannot run it: {said}")
        if status < 0:
            name = signal_name(-status)
            what = f"{program} was killed by {name}"
            return Conclusion(Ending.KILLED, what + (told and f": {told}"))
        silent = not status and self.monitor is None and self._released
        if self.started or silent:  # without a monitor a guest that prints nothing is not seen
            return Conclusion(Ending.EXITED)
        if status in CANNOT_EXECUTE:
            told = told or f"{program} cannot be executed (status {status})"
            return Conclusion(Ending.ERROR, told)
        default = f"{program} exited with status {status} before its guest was started"
        return Conclusion(Ending.REFUSED, told or default)

    def _out_of_memory(self) -> bool:
        """Whether the kernel has killed processes of ours since the start, and we not this one."""
        killed = self.process is not None and self.process.ended_by_us
        return not killed and self.place.oom_kills() > self._oom_kills

    def _conclude(self, conclusion: Conclusion) -> None:
        if not self.ended.done():
            self.ended.set_result(conclusion)
