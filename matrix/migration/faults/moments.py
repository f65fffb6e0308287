"""When faults happen that are for any of several states of a hop: while it is slow."""

import asyncio
from typing import ClassVar

from matrix.migrating import Strategy
from matrix.migration.faults.base import (
    SHORTEST_DOWNTIME,
    SLOW,
    FaultInjector,
    arrived_in_postcopy,
    in_active,
)
from matrix.migration.live_hop import LiveHop
from matrix.plan.strategy_settings import ParameterValue

CONNECTING = 0.1
"""Seconds until multifd's channels are there: one that the link is lost to before makes 7.2 hang
now and then as it cleans up, and it makes no other hop."""


class InPrecopy(FaultInjector):
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


class InPostcopy(FaultInjector):
    """At the moment from which the destination runs the guest with a part of its memory."""

    parameters: ClassVar[dict[str, ParameterValue]] = {
        "max-bandwidth": SLOW,
        "max-postcopy-bandwidth": SLOW,
    }

    async def act(self, hop: LiveHop) -> None:
        if await arrived_in_postcopy(hop):
            await self.strike(hop)
