"""Makes the hops of one case: draws each, has its destination up in time, and records it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.migrating import Fault, Hop, HopOutcome, Migration, Strategy, Transport
from matrix.migration.clock import HostClock
from matrix.migration.cpr_hop import descriptors, with_channel
from matrix.migration.draws import Lot
from matrix.migration.endpoint import Emulator, Endpoint
from matrix.migration.hop import ended_by_itself, why_ended
from matrix.migration.launching import fitted
from matrix.migration.live import Bystander, HopEnd, Injector, LiveHop
from matrix.migration.processes import Processes
from matrix.migration.proof import Proof
from matrix.migration.records import Earlier, Records, hop_record
from matrix.migration.samples import Sampler
from matrix.migration.whole_hop import make_hop, why_not_running
from matrix.scenario.compatibility import Route, parameters_for

HOP_SECONDS = 60.0
"""Long for a guest of 128 MiB at QEMU's default bandwidth, which takes 1 s."""
PROOF_SECONDS = 15.0
"""Within which a guest that beats must beat again after a hop."""
REST = 2.0
"""Stall periods that a silent guest is left alone for; a dead loop is found within one and a half
(:class:`matrix.vm.watch.DeadLoopClock`)."""
BAD_KEPT = 20
"""Bad hops that a result names; hops.jsonl has more."""


def no_injectors(fault: Fault) -> Injector:
    """For chains without faults.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"nothing injects {fault}")


@dataclass(frozen=True, slots=True)
class Request:
    """What to do. ``migration`` is narrowed to the variant's axes already."""

    migration: Migration
    source: Emulator
    destinations: tuple[Emulator, ...] = ()
    """Installations that the guest is migrated to; empty: the source's own."""
    seed: int = 0
    injectors: Callable[[Fault], Injector] = no_injectors
    earlier: Path | None = None
    """hops.jsonl of the same attempt's execution that was killed: it is gone on with."""
    hop_seconds: float = HOP_SECONDS
    """What a hop may take before it is given up; at least twice the limit of total-time, as one
    that breaks a limit is told of, not cut short."""
    on_hop: Callable[[Hop], None] | None = None
    """Told of each hop when it is recorded."""
    clock: HostClock | None = None
    """The host's; None: the real one."""
    proves: bool = False
    """The guest is one that proves its memory: nothing is done to it before it has begun to."""

    @property
    def emulators(self) -> dict[str, Emulator]:
        """All installations by name, the source's first."""
        return {each.name: each for each in (self.source, *self.destinations)}

    def fitted(self) -> "Request":
        """The same with command lines as its hops need them."""

        def fit(emulator: Emulator) -> Emulator:
            return replace(emulator, launch=fitted(emulator.launch, self.migration))

        return replace(
            self, source=fit(self.source), destinations=tuple(map(fit, self.destinations))
        )


class NoHopError(Exception):
    """No hop can be made: the message says why."""


@dataclass(slots=True)
class _Prepared:
    """A hop that is drawn, and its destination, which is up."""

    number: int
    route: Route
    fault: Fault | None
    injector: Injector
    destination: Endpoint


@dataclass(slots=True)
class Tally:
    """What has been counted so far, without what an earlier execution had done."""

    attempts: int = 0
    bad_in_a_row: int = 0
    bad: list[str] = field(default_factory=list)
    """The first few, each as ``hop N: why``."""
    hop_seconds: float = 0.0


class HopRunner:
    """Takes the guest from QEMU to QEMU. ``current`` runs it, ``moved`` is set as that changes."""

    def __init__(
        self,
        request: Request,
        processes: Processes,
        proof: Proof,
        records: Records,
        first: Endpoint,
        earlier: Earlier,
        stall: float,
    ) -> None:
        """``stall``: seconds after which a guest that says and does nothing is dead."""
        self.request = request
        self.processes = processes
        self.proof = proof
        self.current = first
        self.moved = asyncio.Event()
        self.tally = Tally()
        self.earlier = earlier
        self.begun = time.monotonic()
        self.lost: tuple[str, bool] | None = None
        """Why nobody runs the guest any more, and whether it had to come to that."""
        self._stall = self._rest_at = stall
        """``_rest_at``: seconds of silence at which the guest is left alone next."""
        self._records = records
        self._strays = self._problems = 0
        self._ended_there = False
        """The guest, or its QEMU, came to its end there while the hop was under way."""
        self._beats = 0
        """How many there had been when the guest changed places, or the hop had failed."""
        self._preparing: asyncio.Task[_Prepared] | None = None
        processes.on_hand_over = self._handed_over

    @property
    def over(self) -> bool:
        """Whether the guest has come to its end, or is lost."""
        return self.lost is not None or self.current.session.ended.done()

    @property
    def next_number(self) -> int:
        """The number of the next hop."""
        return self.earlier.last_number + self.tally.attempts + 1

    def prepare(self, *, during_hop_to: str = "") -> None:
        """Draw the next hop and start its destination, in the background.

        ``during_hop_to`` names the installation where the guest will be, when a hop is under way.
        """
        self._preparing = asyncio.create_task(
            self._prepare(self.next_number, during_hop_to or self.current.emulator.name)
        )

    async def prepared(self) -> None:
        """Wait until the destination that is being started is up, or could not be started."""
        if self._preparing is not None:
            await asyncio.wait((self._preparing,))

    async def hop(self, *, more: Callable[[], bool]) -> bool:
        """Make the next hop, unless the guest is over; whether it goes on after that.

        While ``more()`` when the hop begins, the next destination is started meanwhile.

        Raises:
            NoHopError: there is none to be made.
            NotStartedError: the destination did not come up.
        """
        if self._preparing is None:
            self.prepare()
        preparing = self._preparing
        assert preparing is not None  # noqa: S101 - made two lines above
        # Not awaited itself: our being cancelled would be its, and lost if it ended all the same.
        await asyncio.wait((preparing,))
        self._preparing = None
        prepared = preparing.result()
        await self._rest()
        if self.over:
            return False
        self.tally.attempts += 1
        if more():
            self.prepare(during_hop_to=prepared.destination.emulator.name)
        await self._hop(prepared)
        return not self.over

    async def _rest(self) -> None:
        """Leave a guest that has long been silent alone, until it speaks or for a while.

        Whoever watches it must see it, and not QEMU migrating it, do nothing for the stall period.
        One that works silently is hopped on with, and left alone once more when it has been silent
        for twice as long.
        """
        processes = self.processes
        silent = processes.silence
        if silent < self._stall:
            self._rest_at = self._stall
        if silent < self._rest_at:
            return
        heard = processes.last_output
        await processes.board.until(
            lambda: self.over or processes.last_output != heard, REST * self._stall
        )
        self._rest_at = 2 * processes.silence

    async def over_within(self, seconds: float) -> bool:
        """Whether the guest comes to its end in that time."""
        return await self.processes.board.until(lambda: self.over, seconds)

    async def close(self) -> None:
        """Give up the destination that is being started; it goes with the processes."""
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.wait((self._preparing,))
            if not self._preparing.cancelled():
                self._preparing.exception()  # seen: it is of no interest any more

    async def _prepare(self, number: int, current: str) -> _Prepared:
        request, processes = self.request, self.processes
        emulators = request.emulators
        lot = Lot(request.migration, request.seed, number)
        name = lot.destination(tuple(emulators), current)
        fault = lot.fault()
        injector = Bystander() if fault is None else request.injectors(fault)
        emulator = emulators[name]
        if name in processes.known_abilities:
            route = self._route(lot, current, name, fault)
            destination = await self._started(emulator, number, route, injector)
        else:
            # It has to be asked first; mostly it is just what is needed then.
            destination = await processes.start(emulator, incoming=True, adapt=injector.adapt)
            route = self._route(lot, current, name, fault)
            if route.strategy is Strategy.CPR_TRANSFER:
                processes.retire(destination)
                destination = await self._started(emulator, number, route, injector)
        # Made now, when no hop waits for them.
        if route.transport is Transport.TLS_PSK:
            processes.credentials.psk()
        elif route.transport is Transport.TLS_X509:
            processes.credentials.x509()
        return _Prepared(number, route, fault, injector, destination)

    def _route(self, lot: Lot, source: str, destination: str, fault: Fault | None) -> Route:
        able = {name: self.processes.known_abilities[name] for name in (source, destination)}
        route = lot.route(able, fault)
        if isinstance(route, str):
            raise NoHopError(route)
        return route

    async def _started(
        self, emulator: Emulator, number: int, route: Route, injector: Injector
    ) -> Endpoint:
        """The destination of the hop of that number. Raises as :meth:`Processes.start`."""
        processes = self.processes
        if route.strategy is not Strategy.CPR_TRANSFER:
            return await processes.start(emulator, incoming=True, adapt=injector.adapt)
        path = descriptors(processes.folder, number)
        return await processes.start(
            emulator,
            incoming=True,
            adapt=lambda launch: with_channel(injector.adapt(launch), path),
            connect=False,
        )

    async def _hop(self, prepared: _Prepared) -> None:
        """Make one hop, and record it, also where the guest is given up meanwhile."""
        injector, request = prepared.injector, self.request
        live = LiveHop(
            prepared.number,
            prepared.route.strategy,
            prepared.route.transport,
            self.current,
            prepared.destination,
            max(request.hop_seconds, 2 * (request.migration.limits.total_time or 0.0)),
        )
        live.parameters.update(parameters_for(request.migration, live.strategy))
        self.proof.begin()
        self._beats = self.proof.beats
        sampler = Sampler(self.current, lambda: live.elapsed)
        end = await make_hop(live, injector, sampler, self.processes)
        if end.outcome is HopOutcome.COMPLETED:
            self._ended_there = end.guest_ended
            self.current = live.destination
            self.moved.set()
        else:
            # 11.1's source runs the guest again where a destination that ran it has died.
            self._ended_there = ended_by_itself(live.destination)
            self._beats = self.proof.beats
        why_bad = gave_up = "the guest was given up before it had shown that it lives"
        try:
            why_bad = injector.judge(live, end) or await self._unproven(end)
        finally:
            if why_bad is gave_up and ended_by_itself(self.current):
                who = "source" if self.current is live.source else "destination"
                why_bad = (
                    f"the {who} ended: {why_ended(self.current)} (after the hop, as {why_bad})"
                )
            self._record(live, end, sampler, prepared.fault, why_bad)

    def _record(
        self, live: LiveHop, end: HopEnd, sampler: Sampler, fault: Fault | None, why_bad: str
    ) -> None:
        self.tally.hop_seconds += end.seconds
        record = hop_record(live, end, sampler, self.proof.evidence(), fault=fault, why_bad=why_bad)
        if not end.guest_ended or end.outcome is HopOutcome.COMPLETED:
            self._records.add(record)
            if self.request.on_hop is not None:
                self.request.on_hop(record)
        self._count(record, end)

    def strays(self) -> str:
        """That someone has printed who did not run the guest, if so since this was asked last."""
        seen, self._strays = self._strays, self.processes.joined.strays
        # With the end of the guest the connection ends, and 11.1's source, still in
        # postcopy-device, runs again what is over elsewhere: never two at a time.
        if self._strays == seen or self._ended_there:
            return ""
        return "both sides printed: the guest ran on source and destination"

    async def _unproven(self, end: HopEnd) -> str:
        """Why the guest has not shown that it lives after the hop; empty where it has."""
        if end.outcome is HopOutcome.LOST or end.guest_ended or not self.current.alive:
            return ""
        if why := await why_not_running(self.current):
            return why
        if self.proof.present and not self.proof.ended:
            then = self._beats
            await self.processes.board.until(
                lambda: self.proof.beats > then or not self.current.alive, PROOF_SECONDS
            )
            if self.proof.beats == then and self.current.alive:
                return f"the guest was silent for {PROOF_SECONDS:g} s after the hop"
        if said := self.strays():
            return said
        problems, self._problems = self._problems, self.proof.problem_count
        return self.proof.problems[-1] if self._problems > problems else ""

    def _count(self, record: Hop, end: HopEnd) -> None:
        tally = self.tally
        tally.bad_in_a_row = 0 if record.good else tally.bad_in_a_row + 1
        if not record.good and len(tally.bad) < BAD_KEPT:
            tally.bad.append(f"hop {record.number}: {record.reason}")
        if end.outcome is HopOutcome.LOST:
            self.lost = (record.reason or "lost", record.good)

    def _handed_over(self) -> None:
        self._beats = self.proof.beats
