"""A guest that writes faster than the link: it must be shown, and something must end it."""

import functools
from typing import ClassVar

from matrix.migrating import Fault
from matrix.migration.faults.base import MIB, FaultInjector
from matrix.migration.live_hop import HopEnd, LiveHop
from matrix.migration.samples import sample, whole
from matrix.plan.strategy_settings import ParameterValue

PASSES = 4
"""Passes over the guest's memory that have to be made in vain, beside the first one, which sends
what there is."""
LINK = 8 * MIB
"""Bytes per second: less than the guest writes."""
DOWNTIME = 50
"""ms, as ``downtime-limit``: at :data:`LINK`, 100 pages."""
SLOWED = 0.75
"""Of what it wrote before: a guest that is slowed down writes less than this share."""
LET_GO = 2000
"""ms, as ``downtime-limit``, once the guest is slowed down: what it writes comes in bursts then, of
10 ms in every second, and one pass is as likely to end in a burst as not."""
DIRTY_LIMIT = 4
"""MB/s for each vCPU. One that has filled its ring of 4096 pages sleeps for as long as these should
have taken it, 4 s here: at 1 MB/s it would be 17 s, in which no one can stop it."""
AWAKE = 5.0
"""Seconds that a guest is given to say that it is at work."""
WORKING = "INTEGRITY: BEAT"
"""What the guest that writes says then."""

BEFORE = ("", "setup", "active")
"""Statuses of a source that has not come to the end of it."""


class NoConvergence(FaultInjector):
    """The hop does not converge, and is cancelled. Those who derive end it by other means."""

    parameters: ClassVar[dict[str, ParameterValue]] = {
        "max-bandwidth": LINK,
        "downtime-limit": DOWNTIME,
    }
    starts_postcopy = False

    async def arrange(self, hop: LiveHop) -> None:
        """See :class:`FaultInjector`: one that has not begun to write would converge."""
        console = hop.source.session.console
        await hop.source.board.until(
            lambda: WORKING in console.text() or not hop.source.alive, AWAKE
        )

    async def act(self, hop: LiveHop) -> None:
        source = hop.source
        await source.board.until(
            lambda: source.passes > PASSES or source.status not in BEFORE, hop.left
        )
        if source.status == "active":
            self.deed(hop, f"{source.passes - 1} passes did not converge")
            await self.end(hop)

    async def end(self, hop: LiveHop) -> None:
        """What ends it."""
        hop.note("migrate_cancel")
        await hop.source.execute("migrate_cancel")


class EndedByPostcopy(NoConvergence):
    """``migrate-start-postcopy`` ends it."""

    async def end(self, hop: LiveHop) -> None:
        hop.note("migrate-start-postcopy")
        await hop.source.execute("migrate-start-postcopy")


class _EndedByThrottling(NoConvergence):
    """QEMU slows the guest down, until the hop converges or the guest is seen to write less."""

    field: ClassVar[str]
    """Of ``query-migrate``: what says so."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.throttle = 0
        self.before = 0
        """Bytes per second that the guest wrote, at most, before it was slowed down."""
        self.slowed = False

    async def end(self, hop: LiveHop) -> None:
        while hop.source.status == "active" and not self.slowed:
            seen = hop.source.passes
            await self.look(hop)
            await hop.source.board.until(functools.partial(_past, hop, seen), hop.left)
        if self.slowed:
            await hop.source.execute("migrate-set-parameters", {"downtime-limit": LET_GO})

    async def look(self, hop: LiveHop) -> None:
        """See whether the guest is slowed down."""
        information = await hop.source.information()
        throttle, rate = whole(information.get(self.field)), sample(information, 0.0).dirty_rate
        if not throttle:
            self.before = max(self.before, rate)
            return
        if throttle > self.throttle:
            self.throttle = throttle
            hop.note(f"{self.field} {throttle}")
        if 0 < rate < SLOWED * self.before:
            self.slowed = True
            hop.note(f"from {self.before / MIB:.1f} to {rate / MIB:.1f} MiB/s written")

    async def examine(self, hop: LiveHop, end: HopEnd) -> None:
        if self.injected and not self.throttle:
            self.findings.append(f"{self.field} was never above 0")


class EndedByAutoConverge(_EndedByThrottling):
    """QEMU keeps the vCPUs from running for most of the time."""

    field = "cpu-throttle-percentage"
    parameters: ClassVar[dict[str, ParameterValue]] = {
        **NoConvergence.parameters,
        "cpu-throttle-initial": 99,
    }


class EndedByDirtyLimit(_EndedByThrottling):
    """QEMU lets each vCPU dirty but so much per second."""

    field = "dirty-limit-throttle-time-per-round"
    parameters: ClassVar[dict[str, ParameterValue]] = {
        **NoConvergence.parameters,
        "vcpu-dirty-limit": DIRTY_LIMIT,
    }


def _past(hop: LiveHop, passes: int) -> bool:
    return hop.source.passes > passes or hop.source.status != "active"
