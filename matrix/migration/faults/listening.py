"""Addresses at which a migration finds no one, or waits for someone for ever."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

from matrix.errors import MonitorError
from matrix.migration.folder import private_folder
from matrix.migration.live_hop import LiveHop

ANSWER = 0.05
"""Seconds in which a listener on this host takes a connection, if it does so at all."""
MOST_CONNECTIONS = 8
"""A listener with a backlog of 0 takes one on Linux, over Unix sockets two."""


@contextlib.contextmanager
def nobody(outgoing: str) -> Iterator[str]:
    """A URI like ``outgoing`` where no one listens. The port is kept from others meanwhile.

    Raises:
        OSError: no port is left.
    """
    if outgoing.startswith("unix:"):
        yield f"{outgoing}-nobody"
        return
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"tcp:127.0.0.1:{bound.getsockname()[1]}"


class Lingering:
    """A listener whose queue is full: who connects neither gets through nor is refused."""

    def __init__(self, uri: str, sockets: contextlib.ExitStack) -> None:
        self.uri = uri
        self._sockets = sockets

    def refuse(self) -> None:
        """Close it: who waits is refused, over TCP with the next attempt a second later.

        A Unix socket's path stays: Linux looks it up anew for who was waiting, and without it
        would say that there is no such file.
        """
        self._sockets.close()


@contextlib.asynccontextmanager
async def lingering(outgoing: str) -> AsyncIterator[Lingering]:
    """An address like ``outgoing`` at which ``migrate`` stays in its ``setup``.

    Raises:
        OSError: no port or descriptor is left.
    """
    unix = outgoing.startswith("unix:")
    family = socket.AF_UNIX if unix else socket.AF_INET
    with (
        private_folder() as folder,
        contextlib.ExitStack() as sockets,
    ):
        listener = sockets.enter_context(socket.socket(family))
        listener.bind(str(folder / "full") if unix else ("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        await _fill(family, address, sockets)
        uri = f"unix:{address}" if unix else f"tcp:127.0.0.1:{address[1]}"
        yield Lingering(uri, sockets)


async def _fill(family: int, address: Any, sockets: contextlib.ExitStack) -> None:
    """Connect until that is not possible any more."""
    loop = asyncio.get_running_loop()
    for _ in range(MOST_CONNECTIONS):
        client = sockets.enter_context(socket.socket(family))
        client.setblocking(False)
        try:
            async with asyncio.timeout(ANSWER):
                if family == socket.AF_UNIX:
                    client.connect(address)  # at once, or not: asyncio takes its EAGAIN for a yes
                else:
                    await loop.sock_connect(client, address)
        except (TimeoutError, BlockingIOError):
            return
    raise MonitorError("migrate", f"a listener takes more than {MOST_CONNECTIONS} connections")


async def linger(hop: LiveHop, resources: contextlib.AsyncExitStack) -> Lingering:
    """Lead the hop's source to a :func:`lingering` listener until ``resources`` are released."""
    assert hop.route is not None  # noqa: S101 - these faults are for hops over sockets
    waiting = await resources.enter_async_context(lingering(hop.route.outgoing))
    hop.route.outgoing = waiting.uri
    return waiting
