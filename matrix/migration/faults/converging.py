"""A guest that writes faster than the link: it must be shown, and something must end it."""

import functools
from typing import ClassVar

from matrix.migrating import Fault
from matrix.migration.faults.base import MIB, SHORTEST_DOWNTIME, FaultInjector
from matrix.migration.live import HopEnd, LiveHop
from matrix.migration.samples import whole
from matrix.plan.recipes import ParameterValue

PASSES = 4
"""Passes over the guest's memory that have to be made in vain."""
FIRST_PASS = 64 * MIB
"""Bytes per second while all of memory is sent for the first time, which says nothing."""
LINK = 8 * MIB
"""Bytes per second afterwards: less than the guest writes."""
DOWNTIME = 50
"""ms: at :data:`LINK`, 100 pages."""


BEFORE = ("", "setup", "active")
"""Statuses of a source that has not come to the end of it."""


class NoConvergence(FaultInjector):
    """The hop does not converge, and is cancelled.

    The first pass, which sends what there is, is let through quickly; the link becomes slow when
    the second begins. Those who derive have other means to end it.
    """

    parameters: ClassVar[dict[str, ParameterValue]] = {
        "max-bandwidth": FIRST_PASS,
        "downtime-limit": SHORTEST_DOWNTIME,
    }
    starts_postcopy = False

    async def act(self, hop: LiveHop) -> None:
        """See :class:`FaultInjector`."""
        board = hop.source.board

        async def passes(count: int) -> bool:
            await board.until(
                lambda: hop.source.passes >= count or hop.source.status not in BEFORE,
                hop.left,
            )
            return hop.source.status == "active"

        if not await passes(2):
            return
        hop.note("the link becomes slow")
        await hop.source.execute(
            "migrate-set-parameters", {"max-bandwidth": LINK, "downtime-limit": DOWNTIME}
        )
        if await passes(2 + PASSES):
            self.deed(hop, f"{hop.source.passes} passes did not converge")
            await self.end(hop)

    async def end(self, hop: LiveHop) -> None:
        """What ends it."""
        hop.note("migrate_cancel")
        await hop.source.execute("migrate_cancel")


class EndedByPostcopy(NoConvergence):
    """``migrate-start-postcopy`` ends it."""

    async def end(self, hop: LiveHop) -> None:
        """See :class:`NoConvergence`."""
        await hop.source.execute("migrate-set-parameters", {"max-bandwidth": FIRST_PASS})
        hop.note("migrate-start-postcopy")
        await hop.source.execute("migrate-start-postcopy")


class _EndedByThrottling(NoConvergence):
    """QEMU slows the guest down until it can keep up: nothing else is done."""

    field: ClassVar[str]
    """Of ``query-migrate``: what says that it does."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.throttle = 0

    async def end(self, hop: LiveHop) -> None:
        """See :class:`NoConvergence`."""
        while hop.source.status == "active":
            seen = hop.source.passes
            information = await hop.source.information()
            throttle = whole(information.get(self.field))
            if throttle > self.throttle:
                self.throttle = throttle
                hop.note(f"{self.field} {throttle}")
            await hop.source.board.until(functools.partial(_past, hop, seen), hop.left)

    async def examine(self, hop: LiveHop, end: HopEnd) -> None:
        """See :class:`FaultInjector`."""
        if self.injected and not self.throttle:
            self.findings.append(f"{self.field} was never above 0")


class EndedByAutoConverge(_EndedByThrottling):
    """QEMU keeps the vCPUs from running for most of the time."""

    field = "cpu-throttle-percentage"
    parameters: ClassVar[dict[str, ParameterValue]] = {
        **NoConvergence.parameters,
        "cpu-throttle-initial": 50,
        "cpu-throttle-increment": 49,
    }


class EndedByDirtyLimit(_EndedByThrottling):
    """QEMU lets each vCPU dirty but so much per second."""

    field = "dirty-limit-throttle-time-per-round"
    parameters: ClassVar[dict[str, ParameterValue]] = {
        **NoConvergence.parameters,
        "vcpu-dirty-limit": 1,
    }


def _past(hop: LiveHop, passes: int) -> bool:
    return hop.source.passes > passes or hop.source.status != "active"
