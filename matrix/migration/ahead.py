"""Destinations that are got ready before their hop begins, so that no hop waits for them.

A hop is 20 to 40 ms of QEMU's work, and a QEMU takes 50 to 200 ms to start: a chain that hops
without a pause waits for starts alone, unless two are under way (``benchmarks/hops.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matrix.errors import MonitorError
from matrix.migration.endpoint import Endpoint
from matrix.migration.routes import StreamRoute
from matrix.model import Launch
from matrix.plan.strategy_settings import ParameterValue
from matrix.vm.cgroups import available_memory

ROOM = 4
"""Times its guest's memory that must be free for one more destination. It takes none of it before
its hop; those whose hop is over may be on their way out with theirs."""
OWN_MEMORY = 128 << 20
"""Bytes that a QEMU takes beside its guest's memory; 7.2 to 11.1 take 40 to 80 MiB."""
TAKEN_AT_ONCE = ("prealloc", "mem-lock", "hugetlb", "hugepages")
"""In command lines of QEMUs that take all memory of their guest when they start."""


@dataclass(slots=True)
class Ahead:
    """A destination that was set up before its hop, and listens."""

    route: StreamRoute
    since: float
    """When it was, as of :meth:`matrix.migration.clock.HostClock.time`."""
    heard: list[tuple[str, Mapping[str, Any], float]] = field(default_factory=list)
    """Its events until the hop."""
    error: MonitorError | None = None
    """Why it does not listen: its hop fails with it."""

    def check(self, destination: Endpoint) -> None:
        """Fail as a hop does whose destination does not listen.

        Raises:
            MonitorError: it refused to, or has ended meanwhile.
        """
        if self.error is not None:
            raise self.error
        if not destination.alive or not destination.monitor.alive:
            raise MonitorError("migrate-incoming", "QEMU has ended while it listened")


async def listen_ahead(
    destination: Endpoint,
    route: StreamRoute,
    parameters: Mapping[str, ParameterValue],
    capabilities: Sequence[Mapping[str, object]],
) -> Ahead:
    """Set a destination up and have it listen.

    Raises:
        HostError: the host has no sockets left.
    """
    ahead = Ahead(route, destination.clock.time())
    destination.take_role(lambda *event: ahead.heard.append(event))
    try:
        destination.parameters |= parameters.keys()
        await destination.set_migration(parameters, capabilities)
        await route.listen(destination)
    except MonitorError as error:
        ahead.error = error
    return ahead


def has_room(launch: Launch, memory: int) -> bool:
    """Whether this host has memory for one more QEMU that waits for a guest.

    Args:
        launch: its command line.
        memory: bytes of its guest.
    """
    if any(word in argument for argument in launch.argv for word in TAKEN_AT_ONCE):
        return False
    return available_memory() >= ROOM * memory + OWN_MEMORY
