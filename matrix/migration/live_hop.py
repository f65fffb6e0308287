"""A hop that is being made: what those who watch it or interfere with it may see and do."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrix.migrating import Fault, HopEvent, HopOutcome, Strategy, Transport
from matrix.migration.ahead import Ahead
from matrix.migration.endpoint import Endpoint, Listener
from matrix.migration.routes import StreamRoute
from matrix.migration.strategies import Abilities
from matrix.model import Launch
from matrix.plan.strategy_settings import ParameterValue

EVENTS_KEPT = 400
"""Events per hop; a guest that dirties fast may cause any number of passes."""
ENDED = ("failing", "failed", "cancelling", "cancelled", "postcopy-paused")
"""Statuses of a source that has lost its destination or gives up: how far had it come before?"""
HEARD = ("MIGRATION", "MIGRATION_PASS", "STOP", "RESUME", "GUEST_PANICKED", "SHUTDOWN")


class LiveHop:
    """One hop from before its destination listens until it is over."""

    def __init__(
        self,
        number: int,
        strategy: Strategy,
        transport: Transport | None,
        source: Endpoint,
        destination: Endpoint,
        seconds: float,
        ahead: Ahead | None = None,
    ) -> None:
        self.number = number
        self.strategy = strategy
        self.transport = transport
        """None: through a file."""
        self.source = source
        self.destination = destination
        self.seconds = seconds
        """What it may take before it is given up."""
        self.machine = ""
        """Type of the machine, where it was asked."""
        self.ahead = ahead
        """Of a destination that listens already."""
        self.route: StreamRoute | None = None
        self.file: Path | None = None
        self.abilities: dict[str, Abilities] = {}
        """By installation."""
        self.capabilities: set[str] = set()
        """Switched on beside those of the strategy, on both sides."""
        self.parameters: dict[str, ParameterValue] = {}
        """Migration parameters beside those of the strategy, on both sides."""
        self.events: list[HopEvent] = []
        self.reached = ""
        """The last status of the source that was neither failed nor cancelled; empty: none yet."""
        self.clock = source.clock
        self.begun = time.time()
        self._begun = self.clock.read()
        """Before anything of the hop, for steps of the clock."""
        self._even = self.clock.time()
        """When it began, without steps."""
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self.happened: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        """(side, what), for the injector; bounded as the events are."""
        source.take_role(self._listener("source"))
        if ahead is None:
            destination.take_role(self._listener("destination"))
        else:
            self._go_on(ahead)

    def _go_on(self, ahead: Ahead) -> None:
        """With a destination that has its role already."""
        self.route = ahead.route
        hear = self._listener("destination")
        for event in ahead.heard:
            hear(*event)
        self.destination.listen(hear)
        self.note(f"the destination has listened for {self.clock.time() - ahead.since:.3f} s")

    def stop_listening(self) -> None:
        """The hop is over: what the two sides say from here on is not of it."""
        self.source.listen(None)
        self.destination.listen(None)

    def restart_clock(self) -> None:
        """The hop begins now: with ``migrate``."""
        shift = self._loop.time() - self._started
        self.begun, self._started = time.time(), self._loop.time()
        self._even = self.clock.time()
        self.events = [
            HopEvent(round(event.at - shift, 6), event.side, event.what) for event in self.events
        ]

    @property
    def elapsed(self) -> float:
        """Seconds since the hop began."""
        return self._loop.time() - self._started

    @property
    def left(self) -> float:
        """Seconds until it is given up; at least 0."""
        return max(0.0, self.seconds - self.elapsed)

    def give_up(self) -> None:
        """Have its time be over now."""
        self.seconds = self.elapsed
        self.source.board.changed()

    def note_steps(self) -> tuple[float, float]:
        """Note what the host's clock did during the hop, as of :meth:`HostClock.steps`."""
        step, asleep = self.clock.steps(self._begun)
        if step:
            self.note(f"the host's clock was set by {step:+g} s")
        if asleep:
            self.note(f"the host was suspended for {asleep:g} s")
        return step, asleep

    @property
    def step(self) -> str:
        """How far it has come, in words."""
        if not self.reached:
            return "before it began"
        resumed = ", the guest on the destination" if self.destination.resumed is not None else ""
        return f"in {self.reached}{resumed}"

    def note(self, what: str) -> None:
        """Record a deed of ours."""
        self._add(self.elapsed, "matrix", what)

    async def until(self, *statuses: str, side: str = "source") -> bool:
        """Wait until a side's migration has one of ``statuses``; False if it ends, or in vain."""
        endpoint = self.source if side == "source" else self.destination
        return await endpoint.until(*statuses, seconds=self.left)

    def _add(self, at: float, side: str, what: str) -> None:
        if len(self.events) < EVENTS_KEPT:
            self.events.append(HopEvent(round(at, 6), side, what))

    def _listener(self, side: str) -> Listener:
        def hear(name: str, data: Mapping[str, Any], at: float) -> None:
            if name not in HEARD:
                return
            status = str(data.get("status", ""))
            if (name, side) == ("MIGRATION", "source") and status not in ENDED:
                self.reached = status
            detail = data.get("status", data.get("pass", data.get("reason", "")))
            what = f"{name} {detail}".rstrip()
            self._add(at - self._even, side, what)
            if self.happened.qsize() < EVENTS_KEPT:
                self.happened.put_nowait((side, what))

        return hear


class HopEnd:
    """How a hop ended, before the guest has proved anything."""

    __slots__ = (
        "clock_bound",
        "gave_up",
        "guest_ended",
        "information",
        "outcome",
        "reason",
        "seconds",
        "stop_to_resume",
    )

    def __init__(self, outcome: HopOutcome, reason: str = "", *, guest_ended: bool = False) -> None:
        self.outcome = outcome
        self.reason = reason
        """What QEMU or the host said; empty where it completed."""
        self.gave_up = ""
        """Why we did not wait for it any longer; ``reason`` has it, too."""
        self.guest_ended = guest_ended
        """The guest came to its end by itself meanwhile."""
        self.seconds = 0.0
        self.stop_to_resume: float | None = None
        self.clock_bound = 0.0
        """By how much that may be off, in seconds, where two hosts' clocks told it."""
        self.information: dict[str, Any] = {}
        """The last answer of the source to ``query-migrate`` that had numbers in it."""


class Injector:
    """Who may interfere with a hop. This one does nothing; faults derive from it."""

    fault: Fault | None = None
    compares = True
    """Whether source and destination are compared before the hop."""
    starts_postcopy = True
    """Whether the hop itself starts postcopy, of the strategies that have it, at once."""

    def adapt(self, launch: Launch) -> Launch:
        """The command line to start the destination with, instead of ``launch``."""
        return launch

    async def before_listening(self, hop: LiveHop) -> None:
        """The destination is up, ``hop.route`` (or ``hop.file``) is made, nothing is set yet.

        What is put into ``hop.capabilities`` and ``hop.parameters`` is set on both sides.
        """

    async def before_migrating(self, hop: LiveHop) -> None:
        """The destination listens, the source is set up; ``hop.route.outgoing`` is used next."""

    async def on_event(self, hop: LiveHop, side: str, what: str) -> None:
        """A side has sent an event.

        ``side`` is ``source`` or ``destination``, ``what`` is ``MIGRATION active``, ``STOP``, ….
        Called one event at a time, in order, while the hop goes on; is cancelled when it ends.
        A MonitorError that it raises is noted, and is no failure.
        """

    async def before_ending(self, hop: LiveHop, end: HopEnd) -> None:
        """It is decided how the hop ends; both sides are as QEMU left them, none was ended."""

    async def after_end(self, hop: LiveHop, end: HopEnd) -> None:
        """The hop is over and the loser, if there is one, has been ended."""

    async def close(self) -> None:
        """Release what was made for the hop, also of one that was cut short; idempotent."""

    def patient(self, hop: LiveHop) -> bool:
        """Whether a source in ``postcopy-paused`` is waited for: it is going to be recovered."""
        return False

    def judge(self, hop: LiveHop, end: HopEnd) -> str:
        """Why this is not what had to follow; empty where it is."""
        if end.outcome is HopOutcome.COMPLETED or end.guest_ended:
            return ""
        return f"the hop {end.outcome.value}: {end.reason}".rstrip(": ")
