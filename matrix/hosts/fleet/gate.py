"""Where the agents of a fleet join an orchestrator: the one address that it listens on.

Whoever joins is known by its certificate, and waits until its host is wanted.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from matrix import __version__
from matrix.errors import HostLostError, UsageError
from matrix.hosts.fleet.link import DIAL, Link, StrangerError, accepted, names_of
from matrix.hosts.fleet.messages import FleetKind, Join
from matrix.vm.tasks import put_off_cancellation

FAREWELL = 1.0
"""Seconds for what is said last to be sent."""
MOST_STRANGERS = 3
"""Addresses of strangers that are told of."""


@dataclass(slots=True)
class _Arrival:
    """The latest link of a host that nobody has taken yet."""

    here: asyncio.Event = field(default_factory=asyncio.Event)
    link: Link | None = None
    join: Join | None = None


class Gate:
    """Listens for as long as it is open, be it in one event loop after the other."""

    def __init__(
        self, address: str, port: int, context: ssl.SSLContext, names: Mapping[str, str]
    ) -> None:
        """``names`` has the hosts by the names in their certificates."""
        self.address = address
        self.port = port
        self.refused: dict[str, str] = {}
        """Why hosts were not let in, by their names."""
        self.strangers: dict[str, str] = {}
        """Why TLS with others came to nothing, by their addresses, the latest last: who they are
        nobody knows."""
        self._context = context
        self._names = names
        self._arrivals: dict[str, _Arrival] = {}
        self._users = 0
        self._socket: socket.socket | None = None
        self._coming: dict[asyncio.Task[None], socket.socket] = {}
        """Connections of whom nobody knows yet who it is."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Let agents in; several may have it open at once.

        Raises:
            UsageError: the address is not to be had.
        """
        if not self._users:
            self._arrivals = {host: _Arrival() for host in self._names.values()}
            self._socket = self._listening()
            asyncio.get_running_loop().add_reader(self._socket, self._accept, self._socket)
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                await put_off_cancellation(self._shut())

    async def _shut(self) -> None:
        assert self._socket is not None  # noqa: S101 - it was open
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for connection in self._coming.values():
            # A handshake that is cancelled may leave its connection open (asyncio of Python 3.11):
            # it sees the end of the stream instead.
            with contextlib.suppress(OSError):  # it has hung up
                connection.shutdown(socket.SHUT_RDWR)
        if self._coming:
            await asyncio.wait(self._coming)
        for arrival in self._arrivals.values():
            if arrival.link is not None:
                arrival.link.close()

    def _listening(self) -> socket.socket:
        address = self.address
        try:
            family = socket.getaddrinfo(address, self.port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.create_server((address, self.port), family=family)
        except OSError as error:
            # Python adds the address; a name that is not known has a number that is not errno's.
            number = error.errno or 0
            why = os.strerror(number) if number > 0 else error.strerror
            raise UsageError(
                f"cannot listen for the fleet's workers at {address}:{self.port}:"
                f" {why}; it must be an address of this machine, that no other run uses"
            ) from error
        self.port = listening.getsockname()[1]  # where it was 0
        listening.setblocking(False)
        return listening

    async def arrival(self, host: str) -> tuple[Link, Join]:
        """Wait for the host's agent; gives its latest link."""
        arrival = self._arrivals[host]
        await arrival.here.wait()
        arrival.here.clear()
        link, join = arrival.link, arrival.join
        arrival.link = None
        assert link is not None and join is not None  # noqa: S101, PT018 - set before the event
        return link, join

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has hung up, or there are too many
            connection, _ = listening.accept()
            connection.setblocking(False)
            task = asyncio.create_task(self._come(connection))
            self._coming[task] = connection
            task.add_done_callback(self._coming.pop)

    async def _come(self, connection: socket.socket) -> None:
        """Somebody dials."""
        address = _peer(connection)
        with contextlib.suppress(HostLostError):  # nobody of ours
            try:
                link = await accepted(connection, self._context)
            except StrangerError as error:
                self._note_stranger(address, str(error))
                return
            try:
                await self._let_in(link)
            except HostLostError:
                link.close()

    def _note_stranger(self, address: str, why: str) -> None:
        if not self._users:
            return  # it was us who hung up
        self.strangers.pop(address, None)
        self.strangers[address] = why
        if len(self.strangers) > MOST_STRANGERS:
            del self.strangers[next(iter(self.strangers))]

    async def _let_in(self, link: Link) -> None:
        line = None
        with contextlib.suppress(TimeoutError):  # told below
            async with asyncio.timeout(DIAL):
                line = await link.hear()
        join = line.body if line is not None else None
        if not isinstance(join, Join):
            return link.close()
        host = next(filter(None, map(self._names.get, names_of(link.writer))), None)
        if why := _why_not(join, host):
            self.refused[join.host] = why
            link.say(FleetKind.REFUSED, 0, why)
            return await link.finish(FAREWELL)
        arrival = self._arrivals[join.host]
        if arrival.link is not None:
            arrival.link.close()
        arrival.link, arrival.join = link, join
        arrival.here.set()
        return None


def _peer(connection: socket.socket) -> str:
    with contextlib.suppress(OSError):  # it has hung up
        return str(connection.getpeername()[0])
    return "somewhere"


def _why_not(join: Join, host: str | None) -> str:
    if join.host != host:
        return f"its certificate is that of {host or 'no host of this fleet'}, not of {join.host}"
    if join.version != __version__:
        return f"it is matrix {join.version}, and the orchestrator {__version__}; install the same"
    return ""


async def arrival_within(gate: Gate, host: str, seconds: float) -> tuple[Link, Join]:
    """As :meth:`Gate.arrival`.

    Raises:
        HostLostError: the host has not joined in that time; says which connections were refused.
    """
    with contextlib.suppress(TimeoutError):  # told below
        async with asyncio.timeout(seconds):
            return await gate.arrival(host)
    if why := gate.refused.get(host):
        raise HostLostError(why)
    strangers = (
        f"; a connection from {address} was refused: {why}"
        for address, why in gate.strangers.items()
    )
    raise HostLostError(f"it has not joined within {seconds:g} s{''.join(strangers)}")
