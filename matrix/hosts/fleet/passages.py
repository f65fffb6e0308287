"""Ways to the QEMUs of this host that can be cut, for faults of the link between two hosts.

A passage listens where guests of other hosts arrive, and leads to a QEMU there: nothing else on
this host can be reached through it. No packet filter and no privilege is needed.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import assert_never

from matrix.hosts.fleet.messages import Deed, Opened, OpenPassage, Steer
from matrix.migration.faults.proxy import Proxy, open_proxy
from matrix.vm.location import Landing


@dataclass(slots=True)
class Passages:
    """Those of one attempt."""

    _landing: Landing | None = None
    _open: dict[int, tuple[Proxy, AsyncExitStack]] = field(default_factory=dict)

    def lead_to(self, landing: Landing) -> None:
        """Guests arrive there."""
        self._landing = landing

    async def open(self, wanted: OpenPassage) -> Opened:
        """Open one; the answer says where, or why not."""
        landing = self._landing
        if landing is None or not landing.first_port <= wanted.port <= landing.last_port:
            return Opened(wanted.passage, 0, f"port {wanted.port} is none of this host's QEMUs")
        ports = range(landing.first_port, landing.last_port + 1)
        stack = AsyncExitStack()
        try:
            opening = open_proxy(wanted.port, landing.address, ports)
            proxy = await stack.enter_async_context(opening)
        except OSError as error:
            where = f"{landing.address}:{landing.first_port}-{landing.last_port}"
            return Opened(wanted.passage, 0, f"no port of {where} is left: {error.strerror}")
        self._open[wanted.passage] = proxy, stack
        return Opened(wanted.passage, proxy.port)

    async def steer(self, wanted: Steer) -> None:
        """Disturb or close one; nothing where there is none of that number."""
        if wanted.passage not in self._open:
            return
        proxy, stack = self._open[wanted.passage]
        match wanted.deed:
            case Deed.STALL:
                proxy.stall()
            case Deed.FLOW:
                proxy.flow()
            case Deed.DROP:
                await proxy.drop()
            case Deed.CLOSE:
                del self._open[wanted.passage]
                await stack.aclose()
            case _:
                assert_never(wanted.deed)

    async def close(self) -> None:
        """Close all of them."""
        for number in [*self._open]:
            await self.steer(Steer(number, Deed.CLOSE))
