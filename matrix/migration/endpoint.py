"""One QEMU process of a migration: what its events have told of it, and how it is spoken to."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from matrix.errors import MonitorError
from matrix.migration.clock import HostClock
from matrix.migration.identity import Identity
from matrix.model import Launch
from matrix.vm.location import ClockReading
from matrix.vm.monitor import COMMAND_TIMEOUT, Monitor
from matrix.vm.qemu_session import Session
from matrix.vm.tasks import Board

RUNNING_STATES = ("running", "colo", "suspended")
"""Run states (``query-status``) in which the vCPUs run, or will by themselves: a guest that has
suspended itself (ACPI S3) waits for what it has chosen to wake it."""

CLEANING_UP = 5.0
"""Seconds that a QEMU may take to clean up after a migration, on a crowded host too."""
LAST_MIGRATION = 2.0
"""Seconds that a QEMU whose guest is over may take to give a migration up."""
BY_US = ("host-qmp-quit", "host-signal")
"""Reasons of a SHUTDOWN that is no guest's: QEMU exits, and takes no command any more."""
YANKED = {"type": "migration"}
"""Of ``query-yank``: what there is of a migration could be shut down."""

SET_PARAMETERS, SET_CAPABILITIES = "migrate-set-parameters", "migrate-set-capabilities"

Listener = Callable[[str, Mapping[str, Any], float], None]


@dataclass(frozen=True, slots=True)
class Emulator:
    """A QEMU that can run the guest: an installation's name, its version, and the command line."""

    name: str
    version: str
    launch: Launch
    modes: tuple[str, ...] | None = None
    """Values that its migration parameter ``mode`` takes; None where nobody has asked."""
    host: str = ""
    """Where it is started; empty for this machine."""

    @property
    def key(self) -> str:
        """Tells it from the other QEMUs of a case."""
        return f"{self.name}@{self.host}" if self.host else self.name

    @property
    def label(self) -> str:
        """``NAME VERSION[ on HOST]``, as records of hops have it."""
        where = f" on {self.host}" if self.host else ""
        return f"{self.name} {self.version}".strip() + where


class Endpoint:
    """A started QEMU process that is, was, or will be one side of a hop.

    ``status`` is its migration's last one, as MIGRATION events tell (empty: none yet, in this
    role); ``stopped`` and ``resumed`` are the times of its last STOP and RESUME by ``clock``, None
    where there was none since the role was taken (:meth:`take_role`).
    """

    def __init__(
        self, emulator: Emulator, session: Session, board: Board, clock: HostClock
    ) -> None:
        self.emulator = emulator
        self.session = session
        self.board = board
        self.clock = clock
        self.place = session.place
        self.reading = ClockReading()
        """How its host's clock differs from ``clock``, by what was known when its role began."""
        self.status = ""
        self.passes = 0
        """Number of the last MIGRATION_PASS."""
        self.in_postcopy = False
        """It has been in a ``postcopy-…`` status: memory is on both sides."""
        self.stopped: float | None = None
        self.resumed: float | None = None
        self.parameters: set[str] = set()
        """Names of the migration parameters that were set in its life."""
        self.settings: dict[tuple[str, str], object] = {}
        """Values of migration parameters and capabilities, by command and name, as far as they are
        known to be as they were set (:meth:`set_migration`)."""
        self.identity: Identity | None = None
        """What it presents to its guest, where it was asked (:func:`.identity.identity_of`)."""
        self.untraced = ""
        """Why it does not tell how long its devices take, where it was asked to."""
        self._listener: Listener | None = None
        self._waits = False
        """QEMU does not exit with its guest, but waits to be told to."""
        self._ending: asyncio.Task[None] | None = None
        session.on_event = self._event
        session.ended.add_done_callback(lambda _: board.changed())

    @property
    def label(self) -> str:
        """``NAME VERSION`` of its installation."""
        return self.emulator.label

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as is known; how it has is known from then on."""
        return self.session.process is not None and not self.session.ended.done()

    async def settled(self, seconds: float) -> None:
        """Wait, so long at most, until it is :attr:`alive` for certain or not at all.

        Its monitor may be gone a moment before its exit is seen, and its last words come after.
        """
        process, monitor = self.session.process, self.session.monitor
        gone = process is None or process.status is not None or self._ending is not None
        if gone or (monitor is not None and not monitor.alive):
            await self.board.until(lambda: not self.alive, seconds)

    @property
    def monitor(self) -> Monitor:
        """Its monitor.

        Raises:
            MonitorError: it was never connected.
        """
        if self.session.monitor is None:
            raise MonitorError("connect", "QEMU has no monitor")
        return self.session.monitor

    def take_role(self, listener: Listener | None) -> None:
        """Forget the last hop; ``listener`` gets the events of the next one."""
        self.status, self.passes, self.in_postcopy = "", 0, False
        self.stopped = self.resumed = None
        self.reading = self.place.clock() or ClockReading(bound=inf)
        self.listen(listener)

    def clock_since_role(self) -> ClockReading:
        """How its host's clock has differed from ``clock`` since it took its role."""
        now = self.place.clock()
        return ClockReading(bound=inf) if now is None else self.reading.hull(now)

    def traced(self) -> tuple[str, ...]:
        """The trace events that it has written since this was asked last."""
        traces = self.session.traces
        if traces is None:
            return ()
        self.session.drain()
        return traces.take()

    def listen(self, listener: Listener | None) -> None:
        """``listener`` gets all events from here on, None: nobody does."""
        self._listener = listener

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, object] | None = None,
        *,
        seconds: float = COMMAND_TIMEOUT,
        oob: bool = False,
    ) -> Any:
        """Execute a QMP command.

        Raises:
            MonitorError: refused, no answer in time, or QEMU has ended, or is about to.
        """
        if self._ending is not None:
            raise MonitorError(command, "the guest has ended")
        if command in (SET_PARAMETERS, SET_CAPABILITIES):
            self.settings.clear()
        return await self.monitor.execute(command, arguments, seconds, oob=oob)

    async def set_migration(
        self, parameters: Mapping[str, object], capabilities: Sequence[Mapping[str, object]]
    ) -> None:
        """Set migration parameters, then capabilities, in one round trip.

        In this order: with parameters of an earlier hop (TLS) it may refuse capabilities of this.

        Raises:
            MonitorError: it refuses one of the two.
        """
        done = await asyncio.gather(
            self.execute(SET_PARAMETERS, parameters),
            self.execute(SET_CAPABILITIES, {"capabilities": capabilities}),
            return_exceptions=True,
        )
        for error in done:
            if isinstance(error, BaseException):
                raise error
        self.settings = _by_command(parameters, capabilities)

    def has_set(
        self, parameters: Mapping[str, object], capabilities: Sequence[Mapping[str, object]]
    ) -> bool:
        """Whether :meth:`set_migration` would change nothing."""
        return _by_command(parameters, capabilities).items() <= self.settings.items()

    async def outlive_guest(self) -> None:
        """Have QEMU wait, once its guest has shut down, until it is told to exit, and tell it then.

        One that exits with its guest frees what a migration still uses: 7.2 aborts in every
        fiftieth guest of a busy host that ends in a hop. Its exit status stays the guest's.

        Raises:
            MonitorError: no answer in time, or QEMU has ended.
        """
        try:
            await self.execute("set-action", {"shutdown": "pause"})
        except MonitorError as error:
            if not error.error_class:  # before 6.0 there is none
                raise
        else:
            self._waits = True

    async def cleaned_up(self, seconds: float = CLEANING_UP, *, cancelling: bool = False) -> bool:
        """Wait until QEMU is through with a migration that it has given up; whether it is.

        It says that it has failed before it has cleaned up (``migrate_fd_cleanup``), and 7.2 may
        hang in that, as where a link is lost while multifd's channels connect. No event tells that
        it is through, but ``query-yank`` does. With ``cancelling`` it is told to give up, too,
        again and again: until it is connected it does not always listen.

        Raises:
            MonitorError: no answer in time, or QEMU has ended.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if cancelling:
                    await self.monitor.execute("migrate_cancel")
                instances = await self.monitor.execute("query-yank")
            except MonitorError as error:
                if error.error_class:  # before 6.0 there is none
                    return True
                raise
            if not isinstance(instances, list) or YANKED not in instances:
                return True
            await asyncio.sleep(0.02)
        return False

    @property
    def guest_is_over(self) -> bool:
        """Whether its guest has shut down on it."""
        return self.session.shutdown_reason.startswith("guest-")

    async def _exit(self) -> None:
        """End a QEMU that has outlived its guest."""
        with contextlib.suppress(MonitorError):  # it ends all the same
            await self.cleaned_up(LAST_MIGRATION, cancelling=True)
        self.session.quit()

    async def running(self) -> bool:
        """Whether its vCPUs run, by ``query-status``.

        Raises:
            MonitorError: it does not answer.
        """
        reply = await self.execute("query-status")
        state = reply.get("status") if isinstance(reply, dict) else None
        self.session.run_state = str(state)
        return state in RUNNING_STATES

    async def information(self) -> dict[str, Any]:
        """What ``query-migrate`` says; empty where it does not answer."""
        try:
            reply = await self.monitor.execute("query-migrate")
        except MonitorError:
            return {}
        return reply if isinstance(reply, dict) else {}

    def sample(self, answered: Callable[[object], None]) -> None:
        """Ask ``query-migrate`` and return; ``answered`` as of
        :meth:`matrix.vm.monitor.Monitor.sample`."""
        if self.session.monitor is not None:
            self.session.monitor.sample("query-migrate", answered)

    async def until(self, *statuses: str, seconds: float) -> bool:
        """Wait until its migration has one of ``statuses``; False once it has ended or in vain."""
        await self.board.until(lambda: self.status in statuses or not self.alive, seconds)
        return self.status in statuses

    async def kill(self) -> None:
        """End it at once.

        Raises:
            HostError: it survives SIGKILL.
        """
        if self.session.process is not None:
            await self.session.process.destroy()
            await asyncio.wait((self.session.ended,))

    def _event(self, name: str, data: Mapping[str, Any], at: float) -> None:
        at = self.clock.even(at - self.reading.ahead)
        match name:
            case "MIGRATION":
                self.status = str(data.get("status", ""))
                self.in_postcopy |= self.status.startswith("postcopy-")
            case "MIGRATION_PASS":
                passes = data.get("pass")
                self.passes = passes if isinstance(passes, int) else self.passes
            case "STOP":
                self.stopped = at
            case "RESUME":
                self.resumed = at
            case "SHUTDOWN" if data.get("reason") in BY_US:
                pass
            case "SHUTDOWN" | "GUEST_PANICKED" if self._waits and self._ending is None:
                self._ending = asyncio.create_task(self._exit())
            case _:
                pass
        if self._listener is not None:
            self._listener(name, data, at)
        self.board.changed()


def _by_command(
    parameters: Mapping[str, object], capabilities: Sequence[Mapping[str, object]]
) -> dict[tuple[str, str], object]:
    return {
        **{(SET_PARAMETERS, name): value for name, value in parameters.items()},
        **{(SET_CAPABILITIES, str(each["capability"])): each["state"] for each in capabilities},
    }
