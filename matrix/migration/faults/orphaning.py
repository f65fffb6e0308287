"""The worker of a host is killed that drives one side of a hop: its QEMU dies with it.

To the other QEMU that is as if its peer were killed. To us it is a host that is silent: what of it
may still run is known when its worker is back, or its lease over.
"""

import asyncio
from typing import ClassVar

from matrix.migrating import Strategy
from matrix.migration.endpoint import Endpoint
from matrix.migration.faults.base import (
    SHORTEST_DOWNTIME,
    SLOW,
    FaultInjector,
    arrived_in_postcopy,
    in_active,
)
from matrix.migration.faults.network import CONNECTING
from matrix.migration.live_hop import HopEnd, LiveHop
from matrix.plan.strategy_settings import ParameterValue
from matrix.vm.location import Mortal


class _KillWorker(FaultInjector):
    """What is done to one side."""

    async def kill(self, hop: LiveHop, side: Endpoint, which: str) -> None:
        place: object = side.place
        assert isinstance(place, Mortal)  # noqa: S101 - the fault is for hops between hosts
        self.deed(hop, f"the {which}'s worker is killed")
        place.kill_worker()
        await side.kill()  # until it is certain that it has ended


class _InPrecopy(_KillWorker):
    """While memory is sent."""

    parameters: ClassVar[dict[str, ParameterValue]] = {
        "max-bandwidth": SLOW,
        "downtime-limit": SHORTEST_DOWNTIME,
    }
    starts_postcopy = False

    async def act(self, hop: LiveHop) -> None:
        if await in_active(hop):
            if hop.strategy is Strategy.MULTIFD:
                await asyncio.sleep(CONNECTING)
            await self.strike(hop)


class _InPostcopy(_KillWorker):
    """At the moment from which the destination runs the guest with a part of its memory."""

    parameters: ClassVar[dict[str, ParameterValue]] = {
        "max-bandwidth": SLOW,
        "max-postcopy-bandwidth": SLOW,
    }

    async def act(self, hop: LiveHop) -> None:
        if await arrived_in_postcopy(hop):
            await self.strike(hop)


class KillDestinationWorkerInPrecopy(_InPrecopy):
    """The guest goes on where it was, and nowhere else."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.destination, "destination")


class KillDestinationWorkerInPostcopy(_InPostcopy):
    """The guest ran there."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.destination, "destination")


class KillSourceWorkerInPrecopy(_InPrecopy):
    """The destination has but a part of the memory."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.source, "source")

    async def examine(self, hop: LiveHop, end: HopEnd) -> None:
        if hop.destination.resumed is not None:
            self.findings.append("the destination ran with a part of the memory")


class KillSourceWorkerInPostcopy(_InPostcopy):
    """The destination must notice, and waits for a source that will not come back."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.source, "source")

    async def before_ending(self, hop: LiveHop, end: HopEnd) -> None:
        """See :class:`FaultInjector`."""
        if self.injected and not await hop.until("postcopy-paused", side="destination"):
            self.findings.append(f"the destination is {hop.destination.status or 'silent'}")
        await super().before_ending(hop, end)
