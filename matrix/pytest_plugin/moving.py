"""One hop of a guest that a test holds: the test says when, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from matrix.errors import MonitorError
from matrix.migrating import Hop, HopOutcome, Strategy, Transport
from matrix.migration.endpoint import Emulator
from matrix.migration.live import Bystander, LiveHop
from matrix.migration.records import hop_record
from matrix.migration.samples import Sampler
from matrix.migration.whole_hop import make_hop, why_not_running
from matrix.pytest_plugin.running import RunningGuest

UNABLE: Mapping[Strategy | Transport, str] = {
    Strategy.CPR_TRANSFER: "needs a guest whose memory was shared from its start",
    Strategy.DIRTY_LIMIT: "needs a guest that was started with dirty rings",
    Transport.EXEC: "has QEMU start a shell, which its sandbox denies",
}
"""What must be known when the guest is started, as it is in a scenario, and why."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a guest is to be migrated."""

    strategy: Strategy = Strategy.PRECOPY
    transport: Transport | None = Transport.UNIX
    """None: through a file."""
    parameters: Mapping[str, int | bool | str] = field(default_factory=dict)
    """QEMU's migration parameters by its names, in its units."""
    seconds: float = 60.0
    """What it may take before it is given up."""


def chosen_way(
    strategy: str, transport: str | None, parameters: Mapping[str, int | bool | str], seconds: float
) -> Way:
    """How a guest is to be migrated, from the words of a test.

    Args:
        strategy: as in a scenario.
        transport: as in a scenario; None for that which needs no choice.
        parameters: as :class:`Way` has them.
        seconds: likewise.

    Raises:
        ValueError: there is no such strategy or transport, or a test cannot have it; says which
            it can.
    """
    how = _named(Strategy, "strategy", strategy)
    if how.through_file:
        if transport is not None:
            raise ValueError(f"transport {transport}: {how} goes through a file and takes none")
        return Way(how, None, parameters, seconds)
    over = _named(Transport, "transport", transport or Transport.UNIX)
    return Way(how, over, parameters, seconds)


Word = TypeVar("Word", Strategy, Transport)


def _named(words: type[Word], what: str, name: str) -> Word:
    possible = [each for each in words if each not in UNABLE]
    if name in possible:
        return words(name)
    why = UNABLE[words(name)] if name in set(words) else "there is none of that name"
    where = "; scenarios can do it" if name in set(words) else ""
    raise ValueError(f"{what} {name}: {why}{where}; migrate() takes {', '.join(possible)}")


async def migrate(guest: RunningGuest, emulator: Emulator, way: Way) -> Hop:
    """Carry the guest over to a new QEMU process, and say how that went.

    A hop that fails leaves the guest where it was; one that loses it ends the guest.

    Raises:
        HostError: the new process does not start.
        MonitorError: the guest is over.
    """
    async with guest.moving:
        processes = guest.processes
        source = guest.current
        if guest.over or not source.alive:
            raise MonitorError("migrate", "the guest is over")
        destination = await processes.start(emulator, incoming=True)
        number = len(guest.hops) + 1
        live = LiveHop(number, way.strategy, way.transport, source, destination, way.seconds)
        live.parameters.update(way.parameters)
        sampler = Sampler(source, lambda: live.elapsed)
        end = await make_hop(live, Bystander(), sampler, processes)
        if end.outcome is HopOutcome.COMPLETED:
            guest.move(destination)
        elif end.outcome is HopOutcome.LOST:
            guest.lost = end.reason or "nobody runs it"
        why_bad = Bystander().judge(live, end)
        if not why_bad and not end.guest_ended:
            why_bad = await why_not_running(guest.current)
        hop = hop_record(live, end, sampler, None, fault=None, why_bad=why_bad)
        guest.hops.append(hop)
        return hop
