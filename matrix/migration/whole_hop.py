"""One hop from its begin until it is clear who runs the guest, whichever way it goes."""

from matrix.errors import MonitorError
from matrix.migrating import HopOutcome, Strategy
from matrix.migration.cpr_hop import run_cpr_hop
from matrix.migration.endpoint import Endpoint
from matrix.migration.file_hop import run_file_hop
from matrix.migration.hop import GIVING_UP, explain_end, run_hop
from matrix.migration.identity import difference, identity_of
from matrix.migration.live import HopEnd, Injector, LiveHop
from matrix.migration.processes import NotStartedError, Processes
from matrix.migration.routes import route_for
from matrix.migration.samples import Sampler
from matrix.migration.strategies import why_not
from matrix.vm.tasks import put_off_cancellation


async def make_hop(
    live: LiveHop, injector: Injector, sampler: Sampler, processes: Processes
) -> HopEnd:
    """Make the hop and return how it ended, with its reason explained.

    Afterwards its route is closed, its sides are no longer listened to, the guest's console is that
    of the side that runs it, and the other side is on its way out.

    Raises:
        HostError: a process survives SIGKILL, or the host has no sockets left.
    """
    live.note("begin")
    live.abilities = processes.known_abilities
    processes.expect(live.destination)
    try:
        end = await _carried_over(live, injector, sampler, processes)
    finally:
        if live.route is not None:
            live.route.close()
        await put_off_cancellation(injector.close())
    live.stop_listening()
    explain_end(live, end)
    if end.outcome is HopOutcome.COMPLETED:
        processes.joined.hand_over()
        processes.retire(live.source)
    else:
        processes.keep(live.source)
        processes.retire(live.destination)
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
            live.file = processes.directory / f"hop-{live.number}.state"
            return await run_file_hop(live, injector, sampler, processes.joined)
        live.route = route_for(live.transport, processes.folder, live.number, processes.credentials)
        return await run_hop(live, injector, sampler)
    except MonitorError as error:
        return HopEnd(HopOutcome.FAILED, str(error))


async def _refused(live: LiveHop) -> str:
    """Why the two processes cannot be migrated between, in words; empty where they can."""
    for side in (live.source, live.destination):
        if why := why_not(live.strategy, live.abilities[side.emulator.name]):
            return f"QEMU {side.label} cannot: {why}"
    ours = await identity_of(live.source)
    live.machine = ours.machine
    return difference(ours, await identity_of(live.destination))


async def why_not_running(endpoint: Endpoint) -> str:
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
