"""Dialling somebody who is not there, or not who it should be."""

import asyncio
import ssl

import pytest

from matrix.errors import HostLostError
from matrix.hosts.fleet.link import dial


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
