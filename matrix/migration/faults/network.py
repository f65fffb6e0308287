"""A network that stalls or drops, through a proxy in the stream's path; postcopy taken up again."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar

from matrix.errors import MonitorError
from matrix.migrating import Fault, HopOutcome, Strategy
from matrix.migration.faults.base import (
    MIB,
    SHORTEST_DOWNTIME,
    SLOW,
    FaultInjector,
    arrived_in_postcopy,
)
from matrix.migration.faults.moments import InPrecopy
from matrix.migration.faults.proxy import Proxy, open_proxy
from matrix.migration.identity import identity_of
from matrix.migration.live_hop import HopEnd, LiveHop
from matrix.migration.routes import LOCALHOST, TcpRoute
from matrix.migration.samples import ram_of, whole
from matrix.plan.strategy_settings import ParameterValue
from matrix.vm.location import Landing, Passable, Passage

STALL = 0.5
"""Seconds that a link stalls before anyone does something about it."""
STALL_BETWEEN_HOSTS = 3.0
"""The same of a link between two hosts, which may be a cable that is put back."""
ROUNDS = 2
"""How often postcopy is interrupted and taken up again: the second time finds what the first left
behind."""
POSTCOPY_SLOW = 2 * MIB
"""Bytes per second, as ``max-postcopy-bandwidth``: of pages that nobody asks for."""
SETTLED = 0.05
"""Seconds from ``postcopy-paused`` to the recovery: a source says so before its thread for the
return path has seen the end of its channel, and 7.2 was seen to die where that finds a new one."""
SERVED = 0.2
"""Seconds that a guest is given to ask for pages: one that has them all asks for none."""
LOOK_AGAIN = 0.002
IN_USE = "Address already in use"
"""bind(2), as QEMU says it."""
YANK_SOURCE = {"instances": [{"type": "migration"}]}


class ThroughProxy(FaultInjector):
    """The source reaches the destination through a proxy, which is on the destination's host."""

    proxy: Passage

    async def arrange(self, hop: LiveHop) -> None:
        assert isinstance(hop.route, TcpRoute)  # noqa: S101 - these faults are for TCP alone
        place, port = hop.destination.place, hop.route.port
        opening = place.passage(port) if isinstance(place, Passable) else open_proxy(port)
        self.proxy = await self.resources.enter_async_context(opening)
        host = f"[{self.proxy.host}]" if ":" in self.proxy.host else self.proxy.host
        hop.route.outgoing = f"tcp:{host}:{self.proxy.port}"


class NetworkInPrecopy(InPrecopy, ThroughProxy):
    """Something happens to the link while memory is sent."""


class StallInPrecopy(NetworkInPrecopy):
    """Nothing passes any more, and TCP would wait for very long: ``yank`` ends it."""

    # As fast as it goes: the source shall be stuck in a full socket, not asleep by its own limit.
    parameters: ClassVar[dict[str, ParameterValue]] = {"downtime-limit": SHORTEST_DOWNTIME}

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.noticed = False
        """The hop was not over when nothing had passed for a while."""

    async def strike(self, hop: LiveHop) -> None:
        self.proxy.stall()
        self.deed(hop, "the link stalls")
        await asyncio.sleep(STALL)
        self.noticed = True
        # Switching over already, where the memory had gone through before the link stalled.
        if hop.source.status not in ("active", "device"):
            self.findings.append(f"the source is {hop.source.status} while the link stalls")
        hop.note("yank")
        await hop.source.execute("yank", YANK_SOURCE, oob=True)

    def judge(self, hop: LiveHop, end: HopEnd) -> str:
        if end.outcome is HopOutcome.COMPLETED and not self.noticed:
            self.injected = False  # all of a small guest had gone through before
        return super().judge(hop, end)


class DropInPrecopy(NetworkInPrecopy):
    """The connection is reset on both sides."""

    async def strike(self, hop: LiveHop) -> None:
        self.deed(hop, "the link drops")
        await self.proxy.drop()


class _Recovered(FaultInjector):
    """Postcopy is interrupted, and taken up again over a new connection, more than once.

    ``migrate-recover`` has the destination listen anew, ``migrate`` with ``resume`` has the source
    come back (QEMU's docs/devel/migration/postcopy.rst, "Recovering from postcopy failure").
    """

    # Slow from the start: else a busy host's hop has converged before it is told to go on so.
    parameters: ClassVar[dict[str, ParameterValue]] = {
        "max-bandwidth": SLOW,
        "max-postcopy-bandwidth": POSTCOPY_SLOW,
    }

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.rounds = 0

    def patient(self, hop: LiveHop) -> bool:
        """See :class:`Injector`: it is going to be recovered, as often as we interrupt it."""
        return True

    async def act(self, hop: LiveHop) -> None:
        # Before the destination has run it cannot pause: it would end, and the guest be lost.
        if not await arrived_in_postcopy(hop):
            return
        for number in range(1, ROUNDS + 1):
            if not await self._both(hop, "postcopy-active"):
                return
            if hop.strategy is Strategy.POSTCOPY_PREEMPT:
                await _preempt_channel_served(hop)
            await self.interrupt(hop, number)
            self.injected = True
            if not await self._both(hop, "postcopy-paused"):
                self.findings.append(f"postcopy is not paused: {_statuses(hop)}")
                return
            await self.look(hop)
            await asyncio.sleep(SETTLED)
            await self.recover(hop)
            self.rounds = number
        if await self._both(hop, "postcopy-active"):
            await hop.source.execute("migrate-set-parameters", {"max-postcopy-bandwidth": 0})

    async def interrupt(self, hop: LiveHop, number: int) -> None:
        """The fault."""
        raise NotImplementedError

    async def look(self, hop: LiveHop) -> None:
        """The source must not run the guest, whatever has become of the connection."""
        if await hop.source.running():
            self.findings.append("the source runs the guest while postcopy is paused")

    async def recover(self, hop: LiveHop) -> None:
        """Take it up again."""
        port = await self.listen_again(hop)
        hop.note(f"migrate-recover, resume over port {port}")
        landing = hop.destination.place.landing
        uri = _uri(LOCALHOST if landing is None else landing.address, port)
        await hop.source.execute("migrate", {"uri": uri, "resume": True})

    async def listen_again(self, hop: LiveHop) -> int:
        """Have the destination listen on a free port, and return it.

        It is not asked which: a TCG vCPU that takes an interrupt holds the main thread's lock, and
        with it may wait for a page of its stack (seen with 7.2). Until it has been recovered, such
        a destination answers out of band alone.
        """
        landing = hop.destination.place.landing
        if landing is not None:
            return await _listen_there(hop, landing)
        with _reserved_port() as port:
            await _listen(hop, _uri(LOCALHOST, port))
        return port

    async def examine(self, hop: LiveHop, end: HopEnd) -> None:
        if self.injected and self.rounds < ROUNDS:
            self.findings.append(f"it was recovered {self.rounds} times, and not {ROUNDS}")

    async def _both(self, hop: LiveHop, status: str) -> bool:
        both = (hop.source, hop.destination)
        await hop.source.board.until(
            lambda: (
                all(side.status == status for side in both)
                or not all(side.alive for side in both)
                or hop.source.status in ("completed", "failed")
            ),
            hop.left,
        )
        return all(side.status == status for side in both)


class PauseInPostcopy(_Recovered):
    """``migrate-pause`` on the source, out of band as for a monitor that is stuck."""

    async def interrupt(self, hop: LiveHop, number: int) -> None:
        hop.note(f"migrate-pause {number}")
        await hop.source.execute("migrate-pause", oob=True)


class _NetworkInPostcopy(ThroughProxy, _Recovered):
    """Something happens to the link while the guest runs on the destination."""

    async def recover(self, hop: LiveHop) -> None:
        """See :class:`_Recovered`: through the proxy again, or another one on another host."""
        port, place = await self.listen_again(hop), hop.destination.place
        if isinstance(place, Passable):
            self.proxy = await self.resources.enter_async_context(place.passage(port))
        elif isinstance(self.proxy, Proxy):
            self.proxy.retarget(port)
            self.proxy.flow()
        hop.note("migrate-recover, resume")
        uri = _uri(self.proxy.host, self.proxy.port)
        await hop.source.execute("migrate", {"uri": uri, "resume": True})


class StallInPostcopy(_NetworkInPostcopy):
    """Nothing passes any more: both sides are told to pause, as neither can tell the other."""

    async def interrupt(self, hop: LiveHop, number: int) -> None:
        self.proxy.stall()
        hop.note(f"the link stalls, {number}")
        between_hosts = isinstance(hop.destination.place, Passable)
        await asyncio.sleep(STALL_BETWEEN_HOSTS if between_hosts else STALL)
        if hop.source.status != "postcopy-active":
            self.findings.append(f"the source is {hop.source.status} while the link stalls")
        for side in (hop.source, hop.destination):
            with suppress(MonitorError):  # it has noticed already, from the other's end
                await side.execute("migrate-pause", oob=True)
        await self.proxy.drop(cut=between_hosts)  # that one is not used again


class DropInPostcopy(_NetworkInPostcopy):
    """The connection is reset on both sides, which notice by themselves."""

    async def interrupt(self, hop: LiveHop, number: int) -> None:
        hop.note(f"the link drops, {number}")
        await self.proxy.drop()


def _uri(host: str, port: int) -> str:
    return f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}"


async def _listen(hop: LiveHop, uri: str) -> None:
    await hop.destination.execute("migrate-recover", {"uri": uri}, oob=True)


async def _listen_there(hop: LiveHop, landing: Landing) -> int:
    """Have the destination listen on a port of its host's range, from whose end others take none.

    Raises:
        MonitorError: it refuses all.
    """
    for port in range(landing.last_port, landing.first_port, -1):
        try:
            await _listen(hop, _uri(landing.address, port))
        except MonitorError as error:
            if IN_USE not in str(error):
                raise
        else:
            return port
    raise MonitorError("migrate-recover", "no port of its host's is left")


@contextmanager
def _reserved_port() -> Iterator[int]:
    """A port of the loopback that only those may bind who say so, as QEMU does (SO_REUSEADDR)."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOCALHOST, 0))
        yield holder.getsockname()[1]


async def _preempt_channel_served(hop: LiveHop) -> None:
    """Wait until the destination reads its second channel, or was given time for it.

    The thread that reads it (``postcopy_preempt_thread`` in migration/postcopy-ram.c) is told that
    there is a channel before it takes the mutex under which ``postcopy_pause_incoming`` closes and
    forgets it. A destination that pauses in between reads from a null pointer: 7.2, 10.0 and 11.1
    died of it, up to one time in twelve on a busy host. No event tells that the thread is there,
    but what it serves does: a vCPU asks for a page again only when it has got the one before.
    """
    vcpus = (await identity_of(hop.source)).vcpus
    before = await _pages_asked_for(hop)
    deadline = asyncio.get_running_loop().time() + SERVED
    while asyncio.get_running_loop().time() < deadline:
        if await _pages_asked_for(hop) > before + vcpus:
            return
        await asyncio.sleep(LOOK_AGAIN)


async def _pages_asked_for(hop: LiveHop) -> int:
    return whole(ram_of(await hop.source.information()).get("postcopy-requests"))


def _statuses(hop: LiveHop) -> str:
    return f"source {hop.source.status or '-'}, destination {hop.destination.status or '-'}"
