"""Makes the hops of one case: draws each, has its destination up in time, and records it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from matrix.migrating import Fault, Hop, HopOutcome, Migration, Strategy, Transport
from matrix.migration.ahead import Ahead, has_room, listen_ahead
from matrix.migration.clock import HostClock
from matrix.migration.cpr_hop import descriptors, with_channel
from matrix.migration.draws import HopDraw
from matrix.migration.endpoint import Emulator, Endpoint
from matrix.migration.faults.altering import with_spare
from matrix.migration.gdb_relay import GdbRelay
from matrix.migration.hop_maker import HOP_SECONDS, HopMaker, PlannedHop
from matrix.migration.hop_records import Earlier, Records
from matrix.migration.live_hop import HopEnd, Injector
from matrix.migration.processes import Processes
from matrix.migration.proof import Proof
from matrix.migration.routes import UnixRoute
from matrix.migration.strategies import capability_settings, parameter_settings
from matrix.model import Launch
from matrix.scenario.compatibility import Route, parameters_for
from matrix.vm.location import HERE, Place

STRIDE = 3
"""Hops after which a chain without faults is taken to go on: from then on two destinations are
started ahead, and listen. The tests that are over by then would pay for what nobody uses."""
REST = 2.0
"""Stall periods that a silent guest is left alone for; a dead loop is found within one and a half
(:class:`matrix.vm.watch.DeadLoopClock`)."""
BAD_KEPT = 20
"""Bad hops that a result names; hops.jsonl has more."""

DENIED, ALLOWED = "spawn=deny", "spawn=allow"
UUID = "0f3c1a52-6d0e-4c2f-9d57-2c1f4f0f9a11"
"""Random: what machines are given that need one."""


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
    places: Sequence[Place] = (HERE,)
    """Where QEMUs are started: those of the emulators."""
    proves: bool = False
    """The guest is one that proves its memory: nothing is done to it before it has begun to."""
    debugger: GdbRelay | None = None
    """By which gdb reaches the guest, and lets it run in the first place."""

    @property
    def emulators(self) -> dict[str, Emulator]:
        """All QEMUs by their keys, the source's first."""
        return {each.key: each for each in (self.source, *self.destinations)}

    def places_to_go(self, current: str) -> tuple[str, ...]:
        """Keys of those that a guest on ``current`` may go to: on another host, between hosts, and
        none that is gone."""
        host = self.emulators[current].host
        every = self.emulators.items()
        if not self.migration.host:
            return tuple(key for key, _ in every)
        without = {host, *(place.host for place in self.places if place.gone)}
        return tuple(key for key, each in every if each.host not in without)

    def fitted(self) -> "Request":
        """The same with command lines as its hops need them."""

        def fit(emulator: Emulator) -> Emulator:
            return replace(emulator, launch=fitted(emulator.launch, self.migration))

        return replace(
            self, source=fit(self.source), destinations=tuple(map(fit, self.destinations))
        )


class NoHopError(Exception):
    """No hop can be made: the message says why."""


class HopRunner(HopMaker):
    """Draws the hops of a chain, has the destination of each up in time, and counts them."""

    def __init__(
        self,
        request: Request,
        processes: Processes,
        proof: Proof,
        records: Records,
        first: Endpoint,
        earlier: Earlier,
    ) -> None:
        super().__init__(processes, first, proof, self._recorded)
        self.request = request
        self.bad: list[str] = []
        """The first few bad hops, each as ``hop N: why``."""
        self.bad_in_a_row = 0
        self.earlier = earlier
        self.begun = time.monotonic()
        self._rest_at = self.guest.limits.stall
        """Seconds of silence at which the guest is left alone next."""
        self._records = records
        self._preparing: list[tuple[str, asyncio.Task[PlannedHop]]] = []
        """The hops to come: the installation that each goes to, and its destination's start."""

    @property
    def stranded(self) -> bool:
        """Whether there is nowhere to go from where the guest is."""
        return not self.request.places_to_go(self.current.emulator.key)

    @property
    def next_number(self) -> int:
        """The number of the next hop."""
        return self.earlier.last_number + self.guest.hops + 1

    def prepare(self, *, during_hop_to: str = "") -> None:
        """Draw the next hop of those to come and start its destination, in the background.

        ``during_hop_to`` names the installation where the guest will be, when a hop is under way.
        """
        number = self.next_number + len(self._preparing)
        source = during_hop_to or self.current.emulator.key
        if self._preparing:
            source = self._preparing[-1][0]
        draw = HopDraw(self.request.migration, self.request.seed, number)
        name = draw.destination(self.request.places_to_go(source), source)
        preparing = self._prepare(number, draw, source, name, listens=self._in_stride)
        self._preparing.append((name, asyncio.create_task(preparing)))

    async def prepared(self) -> None:
        """Wait until the destination that is being started is up, or could not be started."""
        if self._preparing:
            await asyncio.wait((self._preparing[0][1],))

    async def hop(self, *, more: Callable[[int], bool]) -> bool:
        """Make the next hop, unless the guest is over; whether it goes on after that.

        While ``more(n)`` when the hop begins, which says whether there is another after the next
        ``n``, the destinations of hops to come are started meanwhile.

        Raises:
            NoHopError: there is none to be made.
            NotStartedError: the destination did not come up.
        """
        if not self._preparing:
            self.prepare()
        _, preparing = self._preparing[0]
        # Not awaited itself: our being cancelled would be its, and lost if it ended all the same.
        await asyncio.wait((preparing,))
        del self._preparing[0]
        prepared = preparing.result()
        if self._would_stay(prepared):
            prepared = await self._instead_of(prepared)
        await self._rest()
        debugger = self.request.debugger
        if debugger is not None:
            await debugger.leave(self.current, lambda: self.over)
        if self.over:
            return False
        self.guest.hops += 1
        while len(self._preparing) < self._kept_ready and more(len(self._preparing)):
            self.prepare(during_hop_to=prepared.destination.emulator.key)
        await self.make(prepared)
        if debugger is not None and not self.over:
            await debugger.follow(self.current)
        return not self.over

    def _would_stay(self, prepared: PlannedHop) -> bool:
        """Whether it goes to the host that the guest is on: it was drawn while a hop was under way
        that has failed."""
        host = self.current.emulator.host
        return bool(host) and prepared.destination.emulator.host == host

    async def _instead_of(self, prepared: PlannedHop) -> PlannedHop:
        """The same hop to another host. Raises as :meth:`hop`."""
        self.guest.retire(prepared.destination.session)
        draw = HopDraw(self.request.migration, self.request.seed, prepared.number)
        source = self.current.emulator.key
        name = draw.destination(self.request.places_to_go(source), source)
        return await self._prepare(prepared.number, draw, source, name, listens=False)

    @property
    def _in_stride(self) -> bool:
        """Whether this is a chain that goes on, and no hop of it is interfered with."""
        return self.guest.hops > STRIDE and not self.request.migration.faults

    @property
    def _kept_ready(self) -> int:
        """How many destinations are started ahead."""
        migration = self.request.migration
        if not self._in_stride or migration.host or Strategy.CPR_TRANSFER in migration.strategies:
            return 1  # of another host's memory nothing is known here
        # One that was never started is asked first what it can: the hop from it is drawn by that.
        known = self.request.emulators.keys() <= self.processes.known_abilities.keys()
        return 2 if known and self._has_room else 1

    @cached_property
    def _has_room(self) -> bool:
        memory = self.current.identity.memory if self.current.identity is not None else 0
        return has_room(self.request.source.launch, memory)

    async def _rest(self) -> None:
        """Leave a guest that has long been silent alone, until it speaks or for a while.

        Whoever watches it must see it, and not QEMU migrating it, do nothing for the stall period.
        One that works silently is hopped on with, and left alone once more when it has been silent
        for twice as long.
        """
        guest, stall = self.guest, self.guest.limits.stall
        silent = guest.silence
        if silent < stall:
            self._rest_at = stall
        if silent < self._rest_at:
            return
        heard = guest.last_output
        await guest.board.until(lambda: self.over or guest.last_output != heard, REST * stall)
        self._rest_at = 2 * guest.silence

    async def over_within(self, seconds: float) -> bool:
        """Whether the guest comes to its end in that time."""
        return await self.processes.board.until(lambda: self.over, seconds)

    async def close(self) -> None:
        """Give up the destinations that are being started; they go with the processes."""
        for _, preparing in self._preparing:
            preparing.cancel()
        for _, preparing in self._preparing:
            await asyncio.wait((preparing,))
            if not preparing.cancelled():
                preparing.exception()  # seen: it is of no interest any more

    async def _prepare(
        self, number: int, draw: HopDraw, current: str, name: str, *, listens: bool
    ) -> PlannedHop:
        request, processes = self.request, self.processes
        fault = draw.fault()
        injector = Injector() if fault is None else request.injectors(fault)
        emulator = request.emulators[name]
        if name in processes.known_abilities:
            route = self._route(draw, current, name, fault)
            destination = await started(processes, emulator, number, route, injector)
        else:
            # It has to be asked first; mostly it is just what is needed then.
            destination = await processes.start(emulator, incoming=True, adapt=injector.adapt)
            route = self._route(draw, current, name, fault)
            if route.strategy is Strategy.CPR_TRANSFER:
                self.guest.retire(destination.session)
                destination = await started(processes, emulator, number, route, injector)
        if not request.migration.host:
            make_credentials(processes, route)
        parameters = parameters_for(request.migration, route.strategy)
        seconds = max(request.hop_seconds, 2 * (request.migration.limits.total_time or 0.0))
        planned = PlannedHop(number, route, destination, injector, dict(parameters), seconds)
        # Over TCP a port would be open to all of this host while it waits.
        if listens and route.transport is Transport.UNIX and destination.session.monitor:
            return replace(planned, ahead=await self._listening(planned))
        return planned

    async def _listening(self, planned: PlannedHop) -> Ahead:
        destination, strategy = planned.destination, planned.route.strategy
        able = self.processes.known_abilities[destination.emulator.key]
        return await listen_ahead(
            destination,
            UnixRoute.of_hop(self.processes.folder, planned.number),
            parameter_settings(strategy, able, planned.parameters),
            capability_settings(strategy, able),
        )

    def _route(self, draw: HopDraw, source: str, destination: str, fault: Fault | None) -> Route:
        able = {name: self.processes.known_abilities[name] for name in (source, destination)}
        route = draw.route(able, fault)
        if isinstance(route, str):
            raise NoHopError(route)
        return route

    def _recorded(self, hop: Hop, end: HopEnd) -> None:
        if not end.guest_ended or end.outcome is HopOutcome.COMPLETED:
            self._records.add(hop)
            if self.request.on_hop is not None:
                self.request.on_hop(hop)
        self.bad_in_a_row = 0 if hop.good else self.bad_in_a_row + 1
        if not hop.good and len(self.bad) < BAD_KEPT:
            self.bad.append(f"hop {hop.number}: {hop.reason}")


def make_credentials(processes: Processes, route: Route) -> None:
    """What that route needs of TLS; made before a hop waits for it. Raises as
    :attr:`Processes.credentials`."""
    if route.transport is Transport.TLS_PSK:
        _ = processes.credentials.psk
    elif route.transport is Transport.TLS_X509:
        _ = processes.credentials.x509


async def started(
    processes: Processes, emulator: Emulator, number: int, route: Route, injector: Injector
) -> Endpoint:
    """Start the destination of the hop of that number, which goes by ``route``.

    Raises as :meth:`Processes.start`.
    """
    if route.strategy is not Strategy.CPR_TRANSFER:
        return await processes.start(emulator, incoming=True, adapt=injector.adapt)
    path = descriptors(processes.folder, number)
    return await processes.start(
        emulator,
        incoming=True,
        adapt=lambda launch: with_channel(injector.adapt(launch), path),
        connect=False,
    )


def fitted(launch: Launch, migration: Migration) -> Launch:
    """The command line as hops of these pools need it, beyond the case's own.

    This is also the one place where QEMU's sandbox is loosened. Cases run under a seccomp filter
    with everything denied (:data:`matrix.plan.command.SANDBOX`); the transport ``exec`` has QEMU
    start a shell, for which ``spawn=deny`` would kill it, and nothing else that a migration does is
    denied.
    """
    if Transport.EXEC in migration.transports and any(
        not strategy.through_file for strategy in migration.strategies
    ):
        launch = _that_may_spawn(launch)
    if Strategy.CPR_TRANSFER in migration.strategies:
        # The guest's own memory is the case's; the rest must be such that it can be shared too.
        launch = _with(launch, "-machine", "aux-ram-share=on")
    if Fault.UUID_MISMATCH in migration.faults:
        # QEMU compares (``validate-uuid``) none that it was not given.
        launch = _with(launch, "-uuid", UUID)
    if Fault.DEVICE_MISMATCH in migration.faults:
        launch = with_spare(launch)
    return launch


def _with(launch: Launch, *words: str) -> Launch:
    return replace(launch, argv=(*launch.argv, *words))


def _that_may_spawn(launch: Launch) -> Launch:
    argv = list(launch.argv)
    for index, word in enumerate(argv[:-1]):
        if word == "-sandbox":
            options = argv[index + 1].split(",")
            argv[index + 1] = ",".join(ALLOWED if each == DENIED else each for each in options)
    return replace(launch, argv=tuple(argv))
