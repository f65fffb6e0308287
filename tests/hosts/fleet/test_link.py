"""Dialling somebody who is not there, or not who it should be; and links that break."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from matrix.errors import HostLostError
from matrix.hosts.fleet.link import Link, dial
from matrix.hosts.fleet.messages import Chunk, FleetKind
from tests.hosts.fleet.conftest import Authority

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close at once."""


def test_one_that_hangs_up_is_told_of_in_words() -> None:
    async def dialled() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(1)  # of its greeting: asyncio has no words for an end then
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await dial("127.0.0.1", port, "a", ssl.create_default_context())

    with pytest.raises(HostLostError, match=r"127\.0\.0\.1:\d+: it hung up"):
        asyncio.run(dialled())


@asynccontextmanager
async def reset_link(folder: Path) -> AsyncIterator[Link]:
    """A link that its other end has just reset, which asyncio has no time to find out."""
    authority = Authority(folder / "pki")
    server = authority.credentials("b").context(server=True)
    client = authority.credentials("a").context(server=False)

    def accept() -> ssl.SSLSocket:
        connection, _ = listening.accept()
        return server.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = asyncio.create_task(asyncio.to_thread(accept))
        link = await dial("127.0.0.1", listening.getsockname()[1], "b", client)
        with await accepting as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    try:
        yield link
    finally:
        await link.finish(1.0)


def test_nothing_is_said_where_the_connection_was_reset(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def say() -> None:
        async with reset_link(tmp_path) as link:
            for _ in range(20):  # asyncio complains from the sixth on
                link.say(FleetKind.BYE, 0, "")

    asyncio.run(say())
    assert not caplog.records


def test_a_file_is_not_sent_to_its_end_where_the_connection_was_reset(tmp_path: Path) -> None:
    async def send() -> None:
        async with reset_link(tmp_path) as link:
            for _ in range(20):
                await link.say_much(FleetKind.CHUNK, 0, Chunk("a", b"b" * 2**16, last=False))

    with pytest.raises(ConnectionError):
        asyncio.run(send())
