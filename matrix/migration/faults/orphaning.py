"""The worker of a host is killed that drives one side of a hop: its QEMU dies with it.

To the other QEMU that is as if its peer were killed. To us it is a host that is silent: what of it
may still run is known when its worker is back, or its lease over.
"""

from matrix.migration.endpoint import Endpoint
from matrix.migration.faults.base import (
    FaultInjector,
)
from matrix.migration.faults.moments import InPostcopy, InPrecopy
from matrix.migration.live_hop import HopEnd, LiveHop
from matrix.vm.location import Mortal


class _KillWorker(FaultInjector):
    """What is done to one side."""

    async def kill(self, hop: LiveHop, side: Endpoint, which: str) -> None:
        place: object = side.place
        assert isinstance(place, Mortal)  # noqa: S101 - the fault is for hops between hosts
        self.deed(hop, f"the {which}'s worker is killed")
        place.kill_worker()
        await side.kill()  # until it is certain that it has ended


class KillDestinationWorkerInPrecopy(InPrecopy, _KillWorker):
    """The guest goes on where it was, and nowhere else."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.destination, "destination")


class KillDestinationWorkerInPostcopy(InPostcopy, _KillWorker):
    """The guest ran there."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.destination, "destination")


class KillSourceWorkerInPrecopy(InPrecopy, _KillWorker):
    """The destination has but a part of the memory."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.source, "source")

    async def examine(self, hop: LiveHop, end: HopEnd) -> None:
        if hop.destination.resumed is not None:
            self.findings.append("the destination ran with a part of the memory")


class KillSourceWorkerInPostcopy(InPostcopy, _KillWorker):
    """The destination must notice, and waits for a source that will not come back."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.source, "source")

    async def before_ending(self, hop: LiveHop, end: HopEnd) -> None:
        """See :class:`FaultInjector`."""
        if self.injected and not await hop.until("postcopy-paused", side="destination"):
            self.findings.append(f"the destination is {hop.destination.status or 'silent'}")
        await super().before_ending(hop, end)
