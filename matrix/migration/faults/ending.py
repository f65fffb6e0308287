"""Hops that are ended: nobody listens, they are cancelled, one side is killed, the disk is full."""

from pathlib import Path
from typing import ClassVar

from matrix.migrating import HopOutcome
from matrix.migration.faults.base import (
    SHORTEST_DOWNTIME,
    SLOW,
    FaultInjector,
    arrived_in_postcopy,
    in_active,
)
from matrix.migration.faults.listening import Lingering, linger, nobody
from matrix.migration.live_hop import HopEnd, LiveHop
from matrix.plan.strategy_settings import ParameterValue

FULL = Path("/dev/full")
"""A device on which every write fails with ENOSPC (full(4)): a disk that really is full would take
a file system of its own, and root to mount it. QEMU from 9.0 on truncates the file that it opens,
which a device refuses (EINVAL): there the hop fails one step before its first write."""


class NoListener(FaultInjector):
    """The source connects to where no one listens."""

    async def arrange(self, hop: LiveHop) -> None:
        assert hop.route is not None  # noqa: S101 - the fault is for hops over sockets
        hop.route.outgoing = self.resources.enter_context(nobody(hop.route.outgoing))
        self.deed(hop, f"no one listens on {hop.route.outgoing}")


class _InSetup(FaultInjector):
    """The source's connection is kept from being established, so that it stays in ``setup``."""

    state = "setup"
    _waiting: Lingering

    async def arrange(self, hop: LiveHop) -> None:
        self._waiting = await linger(hop, self.resources)

    async def act(self, hop: LiveHop) -> None:
        await hop.until("setup")
        if hop.source.status == "setup":
            await self.strike(hop)
        # The attempt to connect ends now, and with it what of the migration waits for it.
        self._waiting.refuse()


class _InActive(FaultInjector):
    """Memory is sent so slowly that the hop is in ``active`` long enough."""

    state = "active"
    parameters: ClassVar[dict[str, ParameterValue]] = {
        "max-bandwidth": SLOW,
        "downtime-limit": SHORTEST_DOWNTIME,
    }
    starts_postcopy = False

    async def act(self, hop: LiveHop) -> None:
        if await in_active(hop):
            await self.strike(hop)


class _InPreSwitchover(FaultInjector):
    """The source stops before the devices' state is sent, and waits for ``migrate-continue``."""

    state = "pre-switchover"
    capabilities = ("pause-before-switchover",)
    starts_postcopy = False

    async def act(self, hop: LiveHop) -> None:
        await hop.until("pre-switchover")
        if hop.source.status == "pre-switchover":
            await self.strike(hop)


class _Cancel(FaultInjector):
    """``migrate_cancel``."""

    async def strike(self, hop: LiveHop) -> None:
        self.deed(hop, f"migrate_cancel in {self.state}")
        await hop.source.execute("migrate_cancel")


class _KillDestination(FaultInjector):
    """SIGKILL to the destination."""

    async def strike(self, hop: LiveHop) -> None:
        self.deed(hop, f"kill the destination in {self.state}")
        await hop.destination.kill()


class CancelInSetup(_InSetup, _Cancel):
    """Before the source has reached the destination."""


class KillDestinationInSetup(_InSetup, _KillDestination):
    """Before the source has reached the destination."""


class CancelInActive(_InActive, _Cancel):
    """While memory is sent."""


class KillDestinationInActive(_InActive, _KillDestination):
    """While memory is sent."""


class KillSourceInActive(_InActive):
    """SIGKILL to the source while memory is sent: the destination has but a part of it."""

    async def strike(self, hop: LiveHop) -> None:
        self.deed(hop, "kill the source in active")
        await hop.source.kill()

    async def examine(self, hop: LiveHop, end: HopEnd) -> None:
        if hop.destination.resumed is not None:
            self.findings.append("the destination ran with a part of the memory")


class CancelInPreSwitchover(_InPreSwitchover, _Cancel):
    """With the guest stopped and all memory sent."""


class KillDestinationInPreSwitchover(_InPreSwitchover, _KillDestination):
    """With the guest stopped; the source learns of it going on."""

    async def strike(self, hop: LiveHop) -> None:
        await super().strike(hop)
        await hop.source.execute("migrate-continue", {"state": "pre-switchover"})


class CancelInCompleted(FaultInjector):
    """``migrate_cancel`` too late: it must do nothing."""

    async def examine(self, hop: LiveHop, end: HopEnd) -> None:
        if end.outcome is not HopOutcome.COMPLETED or hop.source.status != "completed":
            return
        self.deed(hop, "migrate_cancel in completed")
        await hop.source.execute("migrate_cancel")
        status = (await hop.source.information()).get("status")
        if status != "completed":
            self.findings.append(f"the completed source is {status} after migrate_cancel")
        if await hop.source.running():
            self.findings.append("the source runs the guest again")
        if not await hop.destination.running():
            self.findings.append("the destination does not run the guest any more")


class KillSourceInPostcopy(FaultInjector):
    """SIGKILL to the source when the destination runs the guest with a part of its memory."""

    parameters: ClassVar[dict[str, ParameterValue]] = {"max-postcopy-bandwidth": SLOW}

    async def act(self, hop: LiveHop) -> None:
        if await arrived_in_postcopy(hop):
            self.deed(hop, "kill the source in postcopy")
            await hop.source.kill()

    async def before_ending(self, hop: LiveHop, end: HopEnd) -> None:
        """The destination must have noticed: it waits for a source that will not come back."""
        if self.injected and not await hop.until("postcopy-paused", side="destination"):
            self.findings.append(f"the destination is {hop.destination.status or 'silent'}")
        await super().before_ending(hop, end)


class DiskFull(FaultInjector):
    """The file that the state goes into takes nothing."""

    async def prepare(self, hop: LiveHop) -> None:
        if hop.file is not None:
            hop.file.symlink_to(FULL)
            self.deed(hop, f"{hop.file.name} is {FULL}")
