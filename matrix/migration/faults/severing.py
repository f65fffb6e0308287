"""The link between two hosts is cut, or one of the hosts is lost: nobody is told of either.

The stream goes through a proxy on the destination's host, which lets nothing pass any more. To QEMU
that is a cut: connections stay, and what is sent is never answered. A host that is lost is a cut,
and a QEMU that is killed behind it.
"""

import asyncio
import contextlib

from matrix.errors import MonitorError
from matrix.migration.endpoint import Endpoint
from matrix.migration.faults.moments import InPostcopy
from matrix.migration.faults.network import NetworkInPrecopy, ThroughProxy
from matrix.migration.live_hop import HopEnd, LiveHop

PATIENCE = 4.0
"""Seconds after which a hop is given up whose link was cut for good."""
BRIEFLY = 3.0
"""Seconds of a cut that heals: TCP sends again after 0.2 s, 0.4 s, 0.8 s, 1.6 s."""
FAST = 1 << 30
"""Bytes per second, once there is nothing more to be late for."""
DOWNTIME = 300
"""ms: QEMU's default, by which a hop converges that was kept from it."""


class _Cut(ThroughProxy):
    """What is done to the link."""

    def cut(self, hop: LiveHop, what: str = "the link is cut") -> None:
        self.proxy.stall()
        self.deed(hop, what)

    async def unnoticed(self, hop: LiveHop, seconds: float) -> None:
        """Wait, while neither side may notice anything."""
        before = hop.source.status
        await asyncio.sleep(seconds)
        if hop.source.status != before:
            self.findings.append(f"the source is {hop.source.status} while the link is cut")

    async def give_up(self, hop: LiveHop) -> None:
        await self.unnoticed(hop, PATIENCE)
        hop.give_up()

    async def heal(self, hop: LiveHop) -> None:
        await self.unnoticed(hop, BRIEFLY)
        self.proxy.flow()
        hop.note("the link is back")
        fast = {"max-bandwidth": FAST, "downtime-limit": DOWNTIME}
        await hop.source.execute("migrate-set-parameters", fast)

    async def kill(self, hop: LiveHop, side: Endpoint, which: str) -> None:
        self.cut(hop, f"the {which}'s host is lost")
        if side is hop.source:
            # The cut is the work of the destination's host, and the end of this QEMU that of its
            # own, which would be first at times. What the former answers comes after the cut.
            with contextlib.suppress(MonitorError):  # it has answered
                await hop.destination.execute("query-yank", oob=True)
        await side.kill()


class _Lost(InPostcopy, _Cut):
    """The guest is given up, on a destination that waits for ever."""

    async def before_ending(self, hop: LiveHop, end: HopEnd) -> None:
        """See :class:`FaultInjector`. A destination says that it runs while its vCPUs wait for
        pages, and has not heard that none will come."""
        waits = hop.destination.status == "postcopy-active"
        if self.injected and not waits:
            self.findings.append(f"the destination is {hop.destination.status or 'silent'}")
        if hop.source.alive and await hop.source.running():
            self.findings.append("the source runs the guest, too")


class CutLinkInPrecopy(NetworkInPrecopy, _Cut):
    """The source is yanked when the hop is given up, and goes on."""

    async def strike(self, hop: LiveHop) -> None:
        self.cut(hop)
        await self.give_up(hop)


class CutLinkInPostcopy(_Lost):
    """Each side has what the other one lacks."""

    async def strike(self, hop: LiveHop) -> None:
        self.cut(hop)
        await self.give_up(hop)


class CutLinkBrieflyInPrecopy(NetworkInPrecopy, _Cut):
    """The hop takes that much longer."""

    async def strike(self, hop: LiveHop) -> None:
        self.cut(hop)
        await self.heal(hop)


class CutLinkBrieflyInPostcopy(InPostcopy, _Cut):
    """The guest waits for the pages that it lacks, and goes on."""

    async def strike(self, hop: LiveHop) -> None:
        self.cut(hop)
        await self.unnoticed(hop, BRIEFLY)
        self.proxy.flow()
        hop.note("the link is back")
        await hop.source.execute("migrate-set-parameters", {"max-postcopy-bandwidth": 0})


class LoseDestinationHostInPrecopy(NetworkInPrecopy, _Cut):
    """The source hears nothing, and is yanked when the hop is given up."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.destination, "destination")
        await self.give_up(hop)


class LoseDestinationHostInPostcopy(InPostcopy, _Cut):
    """The guest ran there."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.destination, "destination")


class LoseSourceHostInPrecopy(NetworkInPrecopy, _Cut):
    """The destination has but a part of the memory, and would wait for ever."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.source, "source")

    async def examine(self, hop: LiveHop, end: HopEnd) -> None:
        if hop.destination.resumed is not None:
            self.findings.append("the destination ran with a part of the memory")


class LoseSourceHostInPostcopy(_Lost):
    """The guest runs on the destination until it lacks a page."""

    async def strike(self, hop: LiveHop) -> None:
        await self.kill(hop, hop.source, "source")
