"""The link in the migration's path, with plain sockets on both ends."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from matrix.migration.faults.proxy import CHUNK, KERNEL_BUFFER, Proxy, open_proxy

SENDER_LIMIT = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
"""Bytes to which the kernel lets the sender's own buffer grow."""


class End:
    """One end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._loop = asyncio.get_running_loop()

    async def write(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def read(self, count: int) -> bytes:
        """Exactly so many bytes, or what there is until the end."""
        data = b""
        while len(data) < count and (more := await self._loop.sock_recv(self.sock, count)):
            data += more
        return data

    def abort(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class Link:
    """A proxy, and whoever connects through it."""

    def __init__(
        self, proxy: Proxy, server: socket.socket, resources: contextlib.ExitStack
    ) -> None:
        self.proxy = proxy
        self._server = server
        self._resources = resources

    async def dial(self) -> End:
        end = End(self._resources.enter_context(socket.socket()))
        await asyncio.get_running_loop().sock_connect(end.sock, ("127.0.0.1", self.proxy.port))
        return end

    async def connect(self) -> tuple[End, End]:
        """A new connection: the source's end, and the destination's."""
        return await self.dial(), await self.accept()

    async def accept(self) -> End:
        accepted, _ = await asyncio.get_running_loop().sock_accept(self._server)
        return End(self._resources.enter_context(accepted))


@contextlib.asynccontextmanager
async def open_link() -> AsyncIterator[Link]:
    with contextlib.ExitStack() as resources:
        server = resources.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.setblocking(False)
        async with open_proxy(server.getsockname()[1]) as proxy:
            yield Link(proxy, server, resources)


def with_link(body: Callable[[Link], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(100), open_link() as link:
            await body(link)

    asyncio.run(run())


def test_carries_both_ways_and_ends_in_order() -> None:
    async def body(link: Link) -> None:
        source, destination = await link.connect()
        await source.write(b"to the destination")
        assert await destination.read(18) == b"to the destination"
        await destination.write(b"back")
        assert await source.read(4) == b"back"
        source.sock.shutdown(socket.SHUT_WR)
        assert await destination.read(1) == b""
        await destination.write(b"after the other's end")
        assert await source.read(21) == b"after the other's end"

    with_link(body)


def test_carries_several_connections_without_mixing_them() -> None:
    async def body(link: Link) -> None:
        ends = [await link.connect() for _ in range(9)]
        payloads = [bytes([number]) * (3 * CHUNK + number) for number in range(9)]
        async with asyncio.TaskGroup() as group:
            received = []
            for (source, destination), payload in zip(ends, payloads, strict=True):
                received.append(group.create_task(destination.read(len(payload))))
                group.create_task(source.write(payload))
        assert [task.result() for task in received] == payloads

    with_link(body)


def test_a_stalled_link_keeps_connections_and_passes_nothing_until_it_flows() -> None:
    async def body(link: Link) -> None:
        source, destination = await link.connect()
        link.proxy.stall()
        await source.write(b"x" * 10)
        await destination.write(b"y" * 10)
        for end in (destination, source):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await end.read(1)
        link.proxy.flow()
        assert await destination.read(10) == b"x" * 10
        assert await source.read(10) == b"y" * 10

    with_link(body)


def test_a_stalled_link_takes_in_little() -> None:
    async def body(link: Link) -> None:
        source, _ = await link.connect()
        link.proxy.stall()
        taken = 0
        with contextlib.suppress(TimeoutError):  # nothing more comes: asserted below
            while True:
                async with asyncio.timeout(0.2):
                    await source.write(b"z" * CHUNK)
                taken += CHUNK
        # One chunk of ours, the kernel's receive buffer (it doubles what is asked for), and what
        # the sender's own kernel holds back for it.
        assert taken <= CHUNK + 2 * KERNEL_BUFFER + SENDER_LIMIT

    with_link(body)


@pytest.mark.parametrize("reset", [True, False])
def test_drops_every_connection_on_both_sides(reset: bool) -> None:
    async def body(link: Link) -> None:
        ends = [end for _ in range(3) for end in await link.connect()]
        await link.proxy.drop(reset=reset)
        for end in ends:
            if reset:
                with pytest.raises(ConnectionResetError):
                    await end.read(1)
            else:
                assert await end.read(1) == b""

    with_link(body)


def test_a_cut_link_refuses_until_it_flows_and_may_then_lead_elsewhere() -> None:
    async def body(link: Link) -> None:
        await link.proxy.drop()
        with pytest.raises(ConnectionResetError):
            await (await link.dial()).read(1)
        async with open_link() as other:
            link.proxy.retarget(other.proxy.port)
            link.proxy.flow()
            await (await link.dial()).write(b"again")
            assert await (await other.accept()).read(5) == b"again"

    with_link(body)


def test_drops_a_stalled_connection() -> None:
    async def body(link: Link) -> None:
        source, destination = await link.connect()
        link.proxy.stall()
        await source.write(b"never arrives")
        await link.proxy.drop()
        with pytest.raises(ConnectionResetError):
            await destination.read(1)

    with_link(body)


@pytest.mark.parametrize("reset", [True, False])
def test_while_nothing_passes_no_end_does(reset: bool) -> None:
    async def body(link: Link) -> None:
        source, destination = await link.connect()
        link.proxy.stall()
        if reset:
            source.abort()
        else:
            source.sock.close()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await destination.read(1)
        link.proxy.flow()
        with contextlib.suppress(ConnectionResetError):  # its end, this way or that
            assert await destination.read(1) == b""

    with_link(body)


def test_listens_on_the_first_port_that_is_free() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports = [each.getsockname()[1] for each in (taken, free)]
            free.close()
            async with open_proxy(ports[0], ports=ports) as proxy:
                assert proxy.port == ports[1]
            with pytest.raises(OSError, match="in use"):
                async with open_proxy(ports[0], ports=ports[:1]):
                    pass

    asyncio.run(run())


def test_a_destination_that_is_gone_is_a_reset() -> None:
    async def body(link: Link) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            link.proxy.retarget(unused.getsockname()[1])
            with pytest.raises(ConnectionResetError):
                await (await link.dial()).read(1)

    with_link(body)


def test_a_reset_by_one_side_reaches_the_other() -> None:
    async def body(link: Link) -> None:
        source, destination = await link.connect()
        destination.abort()
        with pytest.raises(ConnectionResetError):
            await source.read(1)

    with_link(body)
