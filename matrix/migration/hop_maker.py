"""One hop, until it is clear who runs the guest and whether all is well, and its record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from matrix.errors import MonitorError
from matrix.migrating import Hop, HopOutcome, Strategy, Transport
from matrix.migration.ahead import Ahead
from matrix.migration.cpr_hop import run_cpr_hop
from matrix.migration.elastic import Lender
from matrix.migration.endpoint import Endpoint
from matrix.migration.file_hop import run_file_hop
from matrix.migration.hop import GIVING_UP, ended_by_itself, explain_end, run_hop, why_ended
from matrix.migration.hop_records import hop_record
from matrix.migration.identity import difference, identity_of
from matrix.migration.live_hop import HopEnd, Injector, LiveHop
from matrix.migration.processes import NotStartedError, Processes
from matrix.migration.proof import ASK, Proof
from matrix.migration.routes import StreamRoute, route_between, route_for
from matrix.migration.samples import Sampler
from matrix.migration.strategies import why_not
from matrix.plan.strategy_settings import ParameterValue
from matrix.scenario.compatibility import Route
from matrix.vm.tasks import put_off_cancellation

HOP_SECONDS = 60.0
"""Long for a guest of 128 MiB at QEMU's default bandwidth, which takes 1 s."""
PROOF_SECONDS = 15.0
"""Within which a guest that beats must beat again after a hop."""


@dataclass(frozen=True, slots=True)
class PlannedHop:
    """A hop that is to be made."""

    number: int
    route: Route
    destination: Endpoint
    injector: Injector = field(default_factory=Injector)
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    """QEMU's migration parameters by its names, beside those of the strategy."""
    seconds: float = HOP_SECONDS
    """What it may take before it is given up."""
    ahead: Ahead | None = None
    """Of a destination that listens already."""


class HopMaker:
    """Takes the guest from QEMU to QEMU; ``current`` runs it."""

    def __init__(
        self,
        processes: Processes,
        first: Endpoint,
        proof: Proof,
        on_hop: Callable[[Hop, HopEnd], None],
    ) -> None:
        """``on_hop`` gets the record of each hop, and how it ended."""
        self.processes = processes
        self.guest = processes.guest
        self.current = first
        self.proof = proof
        self.lost: tuple[str, bool] | None = None
        """Why nobody runs the guest any more, and whether it had to come to that."""
        self._on_hop = on_hop
        self._lender = Lender(proof)
        self._strays = self._problems = 0
        self._ended_there = False
        """The guest, or its QEMU, came to its end there while the hop was under way."""
        self._beats = 0
        """How many there had been when the guest changed places, or the hop had failed."""
        self.guest.console.on_hand_over = self._handed_over

    @property
    def over(self) -> bool:
        """Whether the guest has come to its end, or is lost."""
        return self.lost is not None or self.current.session.ended.done()

    async def make(self, planned: PlannedHop) -> None:
        """Make one hop, which is counted already, and record it, also where the guest is given up
        meanwhile.

        Raises:
            HostError: a process survives SIGKILL, or the host has no sockets left.
        """
        injector = self._lender.during(planned.injector)
        live = LiveHop(
            planned.number,
            planned.route.strategy,
            planned.route.transport,
            self.current,
            planned.destination,
            planned.seconds,
            planned.ahead,
        )
        live.parameters.update(planned.parameters)
        self.proof.begin()
        self._beats = self.proof.beats
        sampler = Sampler(self.current, lambda: live.elapsed)
        self.guest.hopping = True
        try:
            end = await make_hop(live, injector, sampler, self.processes)
        finally:
            self.guest.hopping = False
            self.processes.board.changed()
        if end.outcome is HopOutcome.COMPLETED:
            self._ended_there = end.guest_ended
            self.current = live.destination
        else:
            # 11.1's source runs the guest again where a destination that ran it has died.
            self._ended_there = ended_by_itself(live.destination)
            self._beats = self.proof.beats
        why_bad = gave_up = "the guest was given up before it had shown that it lives"
        try:
            why_bad = (
                injector.judge(live, end)
                or await self._unproven(end)
                or await self._lender.disagrees(self.current)
            )
        finally:
            if why_bad is gave_up and ended_by_itself(self.current):
                who = "source" if self.current is live.source else "destination"
                why_bad = (
                    f"the {who} ended: {why_ended(self.current)} (after the hop, as {why_bad})"
                )
            self._record(live, end, sampler, injector, why_bad)

    def _record(
        self, live: LiveHop, end: HopEnd, sampler: Sampler, injector: Injector, why_bad: str
    ) -> None:
        self.guest.hop_seconds += end.seconds
        self.guest.check_time()
        evidence = self.proof.evidence()
        record = hop_record(live, end, sampler, evidence, fault=injector.fault, why_bad=why_bad)
        if end.outcome is HopOutcome.LOST:
            self.lost = (record.reason or "nobody runs it", record.good)
        self._on_hop(record, end)

    def strays(self) -> str:
        """That someone has printed who did not run the guest, if so since this was asked last."""
        seen, self._strays = self._strays, self.guest.console.strays
        # With the end of the guest the connection ends, and 11.1's source, still in
        # postcopy-device, runs again what is over elsewhere: never two at a time.
        if self._strays == seen or self._ended_there:
            return ""
        return "both sides printed: the guest ran on source and destination"

    async def _unproven(self, end: HopEnd) -> str:
        """Why the guest has not shown that it lives after the hop; empty where it has."""
        if end.outcome is HopOutcome.LOST or end.guest_ended or not self.current.alive:
            return ""
        then = self._beats
        waits = self.proof.present and not self.proof.ended
        if waits and self.proof.beats == then:
            self.current.session.type(ASK)
        if why := await _why_not_running(self.current):
            return why
        if waits:
            await self.processes.board.until(
                lambda: self.proof.beats > then or not self.current.alive, PROOF_SECONDS
            )
            if self.proof.beats == then and self.current.alive:
                return f"the guest was silent for {PROOF_SECONDS:g} s after the hop"
        if said := self.strays():
            return said
        problems, self._problems = self._problems, self.proof.problem_count
        return self.proof.problems[-1] if self._problems > problems else ""

    def _handed_over(self) -> None:
        self._beats = self.proof.beats


async def make_hop(
    live: LiveHop, injector: Injector, sampler: Sampler, processes: Processes
) -> HopEnd:
    """Make the hop and return how it ended, with its reason explained.

    Afterwards its route is closed, its sides are no longer listened to, the guest's console is that
    of the side that runs it, and the other side is on its way out.

    Raises:
        HostError: a process survives SIGKILL, or the host has no sockets left.
    """
    guest = processes.guest
    live.note("begin")
    live.abilities = processes.known_abilities
    guest.expect(live.destination.session)
    try:
        end = await _carried_over(live, injector, sampler, processes)
    finally:
        if live.route is not None:
            live.route.close()
        await put_off_cancellation(injector.close())
    live.stop_listening()
    explain_end(live, end)
    if end.outcome is HopOutcome.COMPLETED:
        guest.move(live.destination.session)
        guest.retire(live.source.session)
    else:
        guest.keep(live.source.session)
        guest.retire(live.destination.session)
    return end


async def _carried_over(
    live: LiveHop, injector: Injector, sampler: Sampler, processes: Processes
) -> HopEnd:
    async def connected() -> str:
        try:
            await processes.connect(live.destination)
        except NotStartedError as error:
            return str(error)
        return await _refused(live) if injector.compares else ""

    try:
        if live.strategy is Strategy.CPR_TRANSFER:
            return await run_cpr_hop(live, injector, sampler, processes.folder, connected)
        if injector.compares and (why := await _refused(live)):
            return HopEnd(HopOutcome.FAILED, why)
        if live.transport is None:
            live.file = processes.guest.directory / f"hop-{live.number}.state"
            return await run_file_hop(live, injector, sampler, processes.guest.console)
        live.route = live.route or _route(live, live.transport, processes)
        return await run_hop(live, injector, sampler)
    except MonitorError as error:
        return HopEnd(HopOutcome.FAILED, str(error))


def _route(live: LiveHop, transport: Transport, processes: Processes) -> StreamRoute:
    """Raises as :func:`route_for` and :func:`route_between`."""
    source, destination = live.source.place, live.destination.place
    if source.host != destination.host:
        return route_between(transport, source, destination)
    return route_for(transport, processes.folder, live.number, processes.credentials)


async def _refused(live: LiveHop) -> str:
    """Why the two processes cannot be migrated between, in words; empty where they can."""
    for side in (live.source, live.destination):
        if why := why_not(live.strategy, live.abilities[side.emulator.key]):
            return f"QEMU {side.label} cannot: {why}"
    ours = await identity_of(live.source)
    live.machine = ours.machine
    return difference(ours, await identity_of(live.destination))


async def _why_not_running(endpoint: Endpoint) -> str:
    """Why the guest does not run there after a hop; empty where it does, or has ended."""
    try:
        running = await endpoint.running()
    except MonitorError as error:
        ended = await endpoint.board.until(lambda: not endpoint.alive, GIVING_UP)
        return "" if ended else str(error)
    if endpoint.session.run_state == "shutdown":  # it ends now
        await endpoint.board.until(lambda: not endpoint.alive, GIVING_UP)
    if running or not endpoint.alive:
        return ""
    return f"the guest does not run after the hop: {endpoint.session.run_state}"
