"""A TCP link of ours in the path of the migration stream, which can stall and drop.

The destination listens on a port of its own, the proxy listens on another, and the source is told
the proxy's: so a network fails without root, network namespaces or firewall rules. Bytes pass
unread, thus TLS passes too; every connection of a migration (multifd's channels, the preempt
channel) is carried alike and shares the one link's rate and fate.

Memory is bounded: each direction of a connection holds one chunk, and the kernel's buffers are kept
small, so that a link that stalls is felt by QEMU after at most a few hundred KiB.
"""

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterable

CHUNK = 256 << 10
"""Bytes that are read at once, and the most that a direction holds."""
KERNEL_BUFFER = 128 << 10
"""Bytes asked for the kernel's socket buffers: left alone, loopback grows them to several MiB."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends RST and forgets what was not delivered (socket(7))."""


class Proxy:
    """A link that is up. Made and taken down by :func:`open_proxy`.

    Attributes:
        port: where the source has to connect to, on :attr:`host`.
    """

    def __init__(self, host: str, target: int, listener: socket.socket) -> None:
        self.host = host
        self.port: int = listener.getsockname()[1]
        self._target = target
        self._listener = listener
        self._cut = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._loop = asyncio.get_running_loop()

    def stall(self) -> None:
        """Let nothing pass any more, either way; connections stay, also new ones."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let everything pass again: the end of a stall or of a cut."""
        self._cut = False
        self._flowing.set()

    def retarget(self, port: int) -> None:
        """Lead new connections to another port of the destination (that of a recovery)."""
        self._target = port

    async def drop(self, *, reset: bool = True, cut: bool = True) -> None:
        """End every connection, at once and on both sides.

        Args:
            reset: by RST, what was under way being lost; else in order, as by a peer that exits.
            cut: new connections are reset too, until :meth:`flow`.
        """
        self._cut = cut
        dropped = dict(self._connections)
        for task, connection in dropped.items():
            connection.reset = reset
            task.cancel()
        if dropped:
            await asyncio.wait(dropped)

    async def serve(self) -> None:
        """Take connections and carry them, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                source, _ = await self._loop.sock_accept(self._listener)
                connection = _Connection(self, source)
                task = group.create_task(connection.carry())
                self._connections[task] = connection
                task.add_done_callback(self._ended)

    async def reach(self, destination: socket.socket) -> bool:
        """Connect a socket to the destination; False where the link is cut.

        Raises:
            OSError: no one listens there.
        """
        await self._flowing.wait()
        if self._cut:
            return False
        await self._loop.sock_connect(destination, (self.host, self._target))
        return True

    async def flows(self) -> None:
        """Wait until something passes again."""
        await self._flowing.wait()

    async def pass_on(self, chunk: memoryview, to: socket.socket) -> None:
        """Hand ``chunk`` on, when the link does."""
        await self._flowing.wait()
        await self._loop.sock_sendall(to, chunk)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task).close()


class _Connection:
    """One connection of the source's and the one to the destination that it is joined to."""

    def __init__(self, proxy: Proxy, source: socket.socket) -> None:
        self.reset = False
        self._proxy = proxy
        self._source = source
        self._destination = _socket(proxy.host)

    async def carry(self) -> None:
        """Join both sides until each has ended, one has failed, or the link drops."""
        try:
            if not await self._proxy.reach(self._destination):
                self.reset = True
                return
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(self._source, self._destination))
                group.create_task(self._pump(self._destination, self._source))
        except* OSError:
            await self._proxy.flows()
            self.reset = True  # what one side has felt, the other shall feel too

    def close(self) -> None:
        """Close both sides; also of a connection whose task was cancelled before it began."""
        for side in (self._source, self._destination):
            if self.reset:
                with contextlib.suppress(OSError):  # the peer was first
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            side.close()

    async def _pump(self, giver: socket.socket, taker: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        buffer = memoryview(bytearray(CHUNK))
        while size := await loop.sock_recv_into(giver, buffer):
            await self._proxy.pass_on(buffer[:size], taker)
        await self._proxy.flows()  # while nothing passes, no end does either
        taker.shutdown(socket.SHUT_WR)


def _socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
    return made


def _bind(listener: socket.socket, host: str, ports: Iterable[int]) -> None:
    for port in ports:
        try:
            listener.bind((host, port))
            listener.listen()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


@contextlib.asynccontextmanager
async def open_proxy(
    target: int, host: str = "127.0.0.1", ports: Iterable[int] = (0,)
) -> AsyncIterator[Proxy]:
    """A proxy that leads to ``host:target``; on leaving, every connection is reset and gone.

    It listens on the first of ``ports`` that is free.

    Raises:
        OSError: no port is left.
        ExceptionGroup: on leaving, no descriptor was left for a connection (OSError).
    """
    with _socket(host) as listener:
        _bind(listener, host, ports)
        proxy = Proxy(host, target, listener)
        serving = asyncio.create_task(proxy.serve())
        try:
            yield proxy
        finally:
            await proxy.drop()
            serving.cancel()
            await asyncio.wait((serving,))
        if not serving.cancelled():
            serving.result()
