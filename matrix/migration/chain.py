"""One case whose guest is migrated: from QEMU to QEMU until its test, or the chain, is over.

The next destination is started while the current hop runs, or while the pace passes, so that no hop
waits for a QEMU to come up. What the guest says at its end is its verdict, as without migration.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.errors import HostError, MonitorError
from matrix.migrating import (
    Fault,
    Hop,
    HopOutcome,
    Migration,
    MigrationMode,
    MigrationSummary,
)
from matrix.migration.draws import Lot
from matrix.migration.endpoint import Emulator, Endpoint
from matrix.migration.file_hop import run_file_hop
from matrix.migration.hop import GIVING_UP, run_hop
from matrix.migration.identity import difference, identity_of
from matrix.migration.live import Bystander, HopEnd, Injector, LiveHop
from matrix.migration.processes import NotStartedError, Processes
from matrix.migration.proof import Proof
from matrix.migration.records import Earlier, Records, hop_record
from matrix.migration.routes import route_for
from matrix.migration.samples import Sampler
from matrix.migration.sandbox import needs_processes
from matrix.model import Ending, Outcome
from matrix.scenario.sense import Route, parameters_for
from matrix.vm.diagnosis import diagnose
from matrix.vm.machine import HUNG, Limits, outcome_of, words
from matrix.vm.session import Conclusion
from matrix.vm.tasks import first_of, put_off_cancellation
from matrix.vm.watch import Watch

HOP_SECONDS = 60.0
"""What a hop may take before it is given up, where the scenario says nothing of total-time."""
FIRST_OUTPUT = 0.5
"""Seconds that are waited for a guest's first output before its first hop."""
BAD_IN_A_ROW = 3
"""Hops after which a chain is given up: what failed so often will fail again."""
PROOF_SECONDS = 15.0
"""Within which a guest that beats must beat again after a hop."""
SLOWED_BY = 0.5
"""Share of the time in hops that does not count towards the guest's timeout."""
FOREVER = 1e9
"""Seconds; the chain has its own idea of when a guest's time is over."""
STOP_KEY = b"q"
"""What ends a guest that proves its memory until it is told to stop."""


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
    on_hop: Callable[[Hop], None] | None = None
    """Told of each hop when it is recorded."""

    @property
    def emulators(self) -> dict[str, Emulator]:
        """All installations by name, the source's first."""
        return {each.name: each for each in (self.source, *self.destinations)}


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What became of the guest and of its hops."""

    outcome: Outcome
    """Of the last QEMU, as of a guest that was never migrated."""
    summary: MigrationSummary
    lost: str = ""
    """Why nobody runs the guest any more, where it was lost in a hop."""
    lost_rightly: bool = False
    """It had to be, by the fault that was injected."""
    bad: tuple[str, ...] = ()
    """Hops that did not end as they had to: ``hop N (…): why``, the first few."""


async def run_chain(
    request: Request,
    directory: Path,
    limits: Limits,
    *,
    on_console: Callable[[bytes], None],
    interrupt: asyncio.Event | None = None,
) -> ChainResult:
    """Run one case to its end, migrating its guest.

    Args:
        request: which guest, and how it is migrated.
        directory: of the attempt, as for :func:`matrix.vm.machine.run_guest`. console.log (of all
            processes joined), qemu.log, qmp.jsonl and hops.jsonl are written as things happen.
        limits: time and space, as there. Half of the time that hops take is added to ``timeout``,
            and a chain that is asked for a number of hops or a duration may take that long.
        on_console: gets the bytes of the joined console.
        interrupt: when it is set, the chain ends.

    Nothing that QEMU, its guest or the host does raises, as there.

    Raises:
        CancelledError: after all QEMUs have been killed and reaped.
        Exception: whatever ``on_console`` raised, after the same.
    """
    chain = Chain(request, directory, limits, on_console)
    return await chain.run(interrupt)


@dataclass(slots=True)
class _Prepared:
    """A hop that is drawn, and its destination, which is up."""

    number: int
    route: Route
    fault: Fault | None
    injector: Injector
    destination: Endpoint


@dataclass(slots=True)
class _Tally:
    """What has been counted so far."""

    attempts: int = 0
    bad_in_a_row: int = 0
    bad: list[str] = field(default_factory=list)
    hop_seconds: float = 0.0


class Chain:
    """The state of one case. :meth:`run` is called once."""

    def __init__(
        self,
        request: Request,
        directory: Path,
        limits: Limits,
        on_console: Callable[[bytes], None],
    ) -> None:
        if needs_processes(request.migration):
            request = replace(
                request,
                source=request.source.loosened(),
                destinations=tuple(each.loosened() for each in request.destinations),
            )
        if Fault.UUID_MISMATCH in request.migration.faults:
            request = replace(
                request,
                source=request.source.identified(),
                destinations=tuple(each.identified() for each in request.destinations),
            )
        self._request = request
        self._directory = directory
        self._limits = limits
        self._on_console = on_console
        self._loop = asyncio.get_running_loop()
        self._processes = Processes(directory, limits.log_bytes, limits.start, self._console)
        self._processes.on_hand_over = self._handed_over
        self.proof = Proof(self._processes.board.changed)
        self._tally = _Tally()
        self._earlier = Earlier()
        self._current: Endpoint | None = None
        self._moved = asyncio.Event()
        self._begun = time.monotonic()
        self._soaked: float | None = None
        """When the chain had enough, and the guest was told to end or left to."""
        self._printed = False
        self._strays = self._problems = 0
        self._beats_at_hand_over = 0
        self._lost: tuple[str, bool] | None = None

    @property
    def current(self) -> Endpoint:
        """The process that runs the guest."""
        assert self._current is not None  # noqa: S101 - set before anything asks
        return self._current

    async def run(self, interrupt: asyncio.Event | None) -> ChainResult:
        """See :func:`run_chain`."""
        conclusion: Conclusion | None = None
        doing = ""
        begun = time.monotonic()
        migration = self._request.migration
        self._records = Records(self._directory, self._request.seed, migration.limits)
        try:
            if self._request.earlier is not None:
                self._earlier = self._records.resume(self._request.earlier)
            async with self._processes:
                conclusion = await self._conclude(interrupt)
                if conclusion.ending in HUNG and self._current is not None:
                    doing = await diagnose(self.current.session)
                await self._end(conclusion)
        except (OSError, HostError) as error:
            conclusion = Conclusion(Ending.ERROR, words(error))
        except ValueError as error:
            conclusion = Conclusion(Ending.ERROR, str(error))
        summary = self._records.close()
        if (failure := self._failure()) is not None:
            if not isinstance(failure, OSError | HostError):
                raise failure
            conclusion = Conclusion(Ending.ERROR, words(failure))
        seconds = time.monotonic() - begun
        if self._current is None:
            outcome = Outcome(conclusion.ending, seconds, reason=conclusion.reason)
        else:
            outcome = replace(outcome_of(self.current.session, conclusion, doing), seconds=seconds)
        lost, rightly = self._lost or ("", False)
        return ChainResult(outcome, summary, lost, rightly, tuple(self._tally.bad))

    # -- from the first QEMU to the last

    async def _conclude(self, interrupt: asyncio.Event | None) -> Conclusion:
        """Do everything; the first thing that ends the guest, or us, is the conclusion."""

        async def interrupted(event: asyncio.Event) -> Conclusion:
            await event.wait()
            return Conclusion(Ending.INTERRUPTED, "interrupted")

        waits = [self._drive(), self._watch(), self._time_limit(), self._host_trouble()]
        if interrupt is not None:
            waits.append(interrupted(interrupt))
        never: asyncio.Future[Conclusion] = self._loop.create_future()
        return await first_of(never, *waits)

    async def _drive(self) -> Conclusion:
        """Hop after hop until there is no more to be done; then the guest's own end."""
        request = self._request
        try:
            self._current = await self._processes.start(request.source, incoming=False)
            preparing = self._prepare(1, request.source.name)
            # The first destination waits for the source, not the other way round: tests are short.
            await asyncio.wait((preparing,))
            self._begun = time.monotonic()
            await self._processes.boot(self.current)
        except NotStartedError as error:
            return error.conclusion
        self._moved.set()
        await self._processes.board.until(
            lambda: self._printed or not self.current.alive, FIRST_OUTPUT
        )
        try:
            return await self._hops(preparing) or await self._guests_end()
        except NotStartedError as error:
            return Conclusion(Ending.ERROR, str(error))

    async def _hops(self, preparing: "asyncio.Task[_Prepared | str]") -> Conclusion | None:
        """Make the hops. The guest's end if it comes meanwhile, else None."""
        pace = self._request.migration.pace
        try:
            while self._wants_more():
                prepared = await preparing
                if not self.current.alive:
                    break
                if isinstance(prepared, str):
                    return Conclusion(Ending.ERROR, prepared)
                self._tally.attempts += 1
                number = self._tally.attempts + 1
                if self._wants_more() and not pace:
                    preparing = self._prepare(number, prepared.destination.emulator.name)
                await self._hop(prepared)
                if self._lost is not None or self.current.session.ended.done():
                    break
                if self._wants_more() and pace:
                    preparing = self._prepare(number, self.current.emulator.name)
                if self._wants_more() and await self._over_within(pace):
                    break
        finally:
            preparing.cancel()
            await asyncio.wait((preparing,))
        if self._lost is not None:
            return Conclusion(Ending.KILLED, self._lost[0])
        return None

    def _wants_more(self) -> bool:
        """Whether there is another hop to be made."""
        migration, tally = self._request.migration, self._tally
        if tally.bad_in_a_row >= BAD_IN_A_ROW:
            return False
        if migration.mode is not MigrationMode.CONTINUOUS:
            return tally.attempts < (2 if migration.faults else 1)
        if migration.hops is not None and tally.attempts + self._earlier.hops >= migration.hops:
            return False
        elapsed = time.monotonic() - self._begun + self._earlier.seconds
        if migration.duration is not None:
            return elapsed < migration.duration
        if migration.hops is None and self.proof.present:
            return elapsed < self._limits.timeout / 2  # it would never end by itself
        return True

    async def _guests_end(self) -> Conclusion:
        """There is nothing more to be done to the guest: wait for its end."""
        self._soaked = time.monotonic()
        self._processes.board.changed()
        if self.proof.present and self.current.alive:
            self.current.session.type(STOP_KEY)
        return await asyncio.shield(self.current.session.ended)

    async def _over_within(self, seconds: float) -> bool:
        """Whether the guest comes to its end in that time."""
        board = self._processes.board
        return await board.until(lambda: self.current.session.ended.done(), seconds)

    # -- one hop

    def _prepare(self, number: int, current: str) -> "asyncio.Task[_Prepared | str]":
        """Draw the hop of that number, counted in this chain, and start its destination."""
        return asyncio.create_task(self._prepared(number, current))

    async def _prepared(self, number: int, current: str) -> _Prepared | str:
        request, processes = self._request, self._processes
        number += self._earlier.last_number
        emulators = request.emulators
        lot = Lot(request.migration, request.seed, number)
        name = lot.destination(tuple(emulators), current)
        fault = lot.fault()
        injector = Bystander() if fault is None else request.injectors(fault)
        destination = await processes.start(emulators[name], incoming=True, adapt=injector.adapt)
        able = {each: processes.known_abilities[each] for each in {current, name}}
        route = lot.route(able, fault)
        if isinstance(route, str):
            return route
        return _Prepared(number, route, fault, injector, destination)

    async def _hop(self, prepared: _Prepared) -> None:
        """Make one hop, and record it."""
        injector = prepared.injector
        request, source = self._request, self.current
        live = LiveHop(
            prepared.number,
            prepared.route.strategy,
            prepared.route.transport,
            source,
            prepared.destination,
            request.migration.limits.total_time or HOP_SECONDS,
        )
        live.parameters.update(parameters_for(request.migration, live.strategy))
        self.proof.begin()
        self._beats_at_hand_over = self.proof.beats
        sampler = Sampler(source, lambda: live.elapsed)
        end = await self._made(live, injector, sampler)
        self._after(live, end)
        why_bad = injector.judge(live, end) or await self._unproven(end)
        self._tally.hop_seconds += end.seconds
        record = hop_record(
            live, end, sampler, self.proof.evidence(), fault=prepared.fault, why_bad=why_bad
        )
        if not end.guest_ended or end.outcome is HopOutcome.COMPLETED:
            self._records.add(record)
            if request.on_hop is not None:
                request.on_hop(record)
        self._count(record, end)

    async def _made(self, live: LiveHop, injector: Injector, sampler: Sampler) -> HopEnd:
        processes = self._processes
        try:
            live.abilities = processes.known_abilities
            if injector.compares and (why := await self._refused(live)):
                return HopEnd(HopOutcome.FAILED, why)
            if live.transport is None:
                live.file = self._directory / f"hop-{live.number}.state"
            else:
                live.route = route_for(
                    live.transport, processes.folder, live.number, processes.credentials
                )
            processes.expect(live.destination)
            if live.transport is None:
                return await run_file_hop(live, injector, sampler, processes.joined)
            return await run_hop(live, injector, sampler)
        except MonitorError as error:
            return HopEnd(HopOutcome.FAILED, str(error))
        finally:
            if live.route is not None:
                live.route.close()

    async def _refused(self, live: LiveHop) -> str:
        ours = await identity_of(live.source)
        live.machine = ours.machine
        return difference(ours, await identity_of(live.destination))

    def _after(self, live: LiveHop, end: HopEnd) -> None:
        """Who runs the guest from here on."""
        processes = self._processes
        if end.outcome is HopOutcome.COMPLETED:
            processes.joined.hand_over()
            self._current = live.destination
            self._moved.set()
            processes.retire(live.source)
            return
        processes.keep(live.source)
        self._beats_at_hand_over = self.proof.beats
        processes.retire(live.destination)

    async def _unproven(self, end: HopEnd) -> str:
        """Why the guest has not shown that it lives after the hop; empty where it has."""
        if end.outcome is HopOutcome.LOST or not self.current.alive:
            return ""
        try:
            running = await self.current.running()
        except MonitorError as error:
            ended = await self._over_within(GIVING_UP)
            return "" if ended else str(error)
        if not running and self.current.alive:
            return f"the guest does not run after the hop: {self.current.session.run_state}"
        if self.proof.present and not self.proof.ended:
            then = self._beats_at_hand_over
            await self._processes.board.until(
                lambda: self.proof.beats > then or not self.current.alive, PROOF_SECONDS
            )
            if self.proof.beats == then and self.current.alive:
                return f"the guest was silent for {PROOF_SECONDS:g} s after the hop"
        strays, self._strays = self._strays, self._processes.joined.strays
        if self._strays > strays:
            return "both sides printed: the guest ran on source and destination"
        problems, self._problems = self._problems, self.proof.problem_count
        return self.proof.problems[-1] if self._problems > problems else ""

    def _count(self, record: Hop, end: HopEnd) -> None:
        tally = self._tally
        tally.bad_in_a_row = 0 if record.good else tally.bad_in_a_row + 1
        if not record.good:
            tally.bad.append(f"hop {record.number}: {record.reason}")
        if end.outcome is HopOutcome.LOST:
            self._lost = (record.reason or "lost", record.good)

    # -- what goes on beside the hops

    def _console(self, data: bytes, at: float) -> None:
        self._printed = True
        self.proof.feed(data, at)
        self._on_console(data)
        self._processes.board.changed()

    def _handed_over(self) -> None:
        self._beats_at_hand_over = self.proof.beats

    async def _watch(self) -> Conclusion:
        """Watch whichever process runs the guest for stalls and halts."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            watch = Watch(self.current.session, FOREVER, self._limits.stall)
            watching = asyncio.create_task(watch.run())
            moved = asyncio.create_task(self._moved.wait())
            try:
                await asyncio.wait((watching, moved), return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    return watching.result()
            finally:
                watching.cancel()
                moved.cancel()
                await put_off_cancellation(asyncio.wait((watching, moved)))

    async def _time_limit(self) -> Conclusion:
        """The guest's own time, of which hops take a part, is over."""
        board, limit = self._processes.board, self._limits.timeout
        while True:
            left = self._time_left()
            if left is None:
                await board.until(lambda: self._soaked is not None, None)
            elif left <= 0:
                return Conclusion(Ending.TIMEOUT, f"no end within {limit:g} s")
            else:
                await asyncio.sleep(left)

    def _time_left(self) -> float | None:
        """Seconds; None while the scenario says how long it takes."""
        migration, limit = self._request.migration, self._limits.timeout
        asked = migration.hops is not None or migration.duration is not None
        begun = self._begun
        if asked and self.proof.present:
            if self._soaked is None:
                return None
            begun = self._soaked
        return limit + SLOWED_BY * self._tally.hop_seconds - (time.monotonic() - begun)

    async def _host_trouble(self) -> Conclusion:
        """Something failed that had no caller to raise it to."""
        await self._processes.board.until(lambda: self._failure() is not None, None)
        return Conclusion(Ending.ERROR, str(self._failure()))

    def _failure(self) -> Exception | None:
        if self._processes.failure is not None or self._current is None:
            return self._processes.failure
        return self.current.session.failure

    async def _end(self, conclusion: Conclusion) -> None:
        """End the QEMU that runs the guest; the others go with the processes."""
        if self._current is not None:
            politely = conclusion.ending in (Ending.EXITED, Ending.INTERRUPTED)
            await self.current.session.stop(politely=politely)
