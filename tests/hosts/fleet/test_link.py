"""Dialling somebody who is not there, or not who it should be."""

import asyncio
import ssl

import pytest

from matrix.errors import HostLostError
from matrix.hosts.fleet.link import dial


def test_one_that_hangs_up_at_once_is_told_of_in_words() -> None:
    async def dialled() -> None:
        def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await dial("127.0.0.1", port, "a", ssl.create_default_context())

    with pytest.raises(HostLostError, match=r"127\.0\.0\.1:\d+: \w+"):
        asyncio.run(dialled())
