"""Things that change while a hop is under way, and that it must survive."""

import asyncio
import signal
from typing import ClassVar

from matrix.migrating import HopOutcome
from matrix.migration.faults.base import MIB, SHORTEST_DOWNTIME, SLOW, FaultInjector, in_active
from matrix.migration.live_hop import HopEnd, LiveHop
from matrix.plan.strategy_settings import RECIPES, ParameterValue

FAST = 1 << 30
"""Bytes per second: no limit."""
PATIENT_DOWNTIME = 2000
"""ms, as ``downtime-limit``: at any bandwidth a guest's working set fits into it."""
STOPPED = 1.0
"""Seconds that the destination is stopped."""


class _Changing(FaultInjector):
    """Something is changed in ``active``; then the hop goes on to its end."""

    parameters: ClassVar[dict[str, ParameterValue]] = {
        "max-bandwidth": SLOW,
        "downtime-limit": SHORTEST_DOWNTIME,
    }
    starts_postcopy = False

    async def act(self, hop: LiveHop) -> None:
        if not await in_active(hop):
            return
        await self.strike(hop)
        if RECIPES[hop.strategy].postcopy:
            await hop.source.execute("migrate-start-postcopy")

    async def set(self, hop: LiveHop, **values: ParameterValue) -> None:
        """Set parameters on the source (``_`` for ``-``), and see that it has them."""
        settings = {name.replace("_", "-"): value for name, value in values.items()}
        await hop.source.execute("migrate-set-parameters", settings)
        current = await hop.source.execute("query-migrate-parameters")
        for name, value in settings.items():
            if current.get(name) != value:
                self.findings.append(f"{name} is {current.get(name)} after it was set to {value}")


class ChangeBandwidth(_Changing):
    """A hop that crawls is let go."""

    parameters: ClassVar[dict[str, ParameterValue]] = {"max-bandwidth": SLOW}

    async def strike(self, hop: LiveHop) -> None:
        self.deed(hop, "max-bandwidth is raised")
        await self.set(hop, max_bandwidth=FAST)


class ChangeDowntimeLimit(_Changing):
    """A hop that may not stop the guest for long is allowed to."""

    parameters: ClassVar[dict[str, ParameterValue]] = {
        "max-bandwidth": 16 * MIB,
        "downtime-limit": SHORTEST_DOWNTIME,
    }

    async def strike(self, hop: LiveHop) -> None:
        self.deed(hop, "downtime-limit is raised")
        await self.set(hop, downtime_limit=PATIENT_DOWNTIME)


class PauseSource(_Changing):
    """The guest is paused on the source: it arrives paused, and is continued there."""

    async def strike(self, hop: LiveHop) -> None:
        self.deed(hop, "stop the source's guest")
        await hop.source.execute("stop")
        await self.set(hop, max_bandwidth=FAST)

    async def act(self, hop: LiveHop) -> None:
        await super().act(hop)
        if not self.injected or not await hop.until("completed", side="destination"):
            return
        # In postcopy a destination runs its guest whatever the source's did, unless it was started
        # with -S (autostart in loadvm_postcopy_handle_run_bh, migration/savevm.c; seen with 11.1).
        if await hop.destination.running() and not hop.destination.in_postcopy:
            self.findings.append("the destination runs a guest that was paused")
        await hop.until("completed")  # never both: the source must be done first
        hop.note("cont")
        await hop.destination.execute("cont")


class StopDestination(_Changing):
    """SIGSTOP to the destination's process, and SIGCONT after a while."""

    async def strike(self, hop: LiveHop) -> None:
        process = hop.destination.session.process
        if process is None or process.status is not None:
            return
        self.deed(hop, "SIGSTOP to the destination")
        process.kill_group(signal.SIGSTOP)
        try:
            await self.set(hop, max_bandwidth=FAST)
            await asyncio.sleep(STOPPED)
            if hop.source.status != "active":
                self.findings.append(
                    f"the source is {hop.source.status} with its destination stopped"
                )
        finally:
            hop.note("SIGCONT to the destination")
            process.kill_group(signal.SIGCONT)
        # A crowded host may be too slow for the shortest: the guest writes as fast as is sent.
        await self.set(hop, downtime_limit=PATIENT_DOWNTIME)

    async def examine(self, hop: LiveHop, end: HopEnd) -> None:
        if end.outcome is HopOutcome.COMPLETED and end.seconds < STOPPED:
            self.findings.append(f"the hop took but {end.seconds:.1f} s, with a stop in it")
