"""Addresses at which no one answers."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from matrix.migration.faults.listening import lingering, nobody


def connect(uri: str) -> None:
    kind, _, rest = uri.partition(":")
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(0.2)
        host, _, port = rest.rpartition(":")
        client.connect(rest if kind == "unix" else (host, int(port)))


def test_nobody_refuses_over_tcp_and_keeps_the_port() -> None:
    with nobody("tcp:127.0.0.1:4444") as uri:
        with pytest.raises(ConnectionRefusedError):
            connect(uri)
        port = int(uri.rpartition(":")[2])
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def test_nobody_is_at_another_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # its own path may be too long for a socket
    with nobody("unix:hop-1") as uri, pytest.raises(FileNotFoundError):
        connect(uri)


@pytest.mark.parametrize("outgoing", ["tcp:127.0.0.1:4444", "unix:/run/hop"])
def test_lingering_neither_takes_nor_refuses(outgoing: str) -> None:
    async def run() -> None:
        async with lingering(outgoing) as waiting:
            # EAGAIN is what Linux says of a full queue to who would wait on a Unix socket.
            with pytest.raises((TimeoutError, BlockingIOError)):
                await asyncio.to_thread(connect, waiting.uri)
            waiting.refuse()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.to_thread(connect, waiting.uri)

    asyncio.run(run())


def test_lingering_refuses_who_waits_already() -> None:
    async def run() -> None:
        async with lingering("unix:/run/hop") as waiting:
            path = waiting.uri.removeprefix("unix:")
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
                task = asyncio.create_task(asyncio.to_thread(client.connect, path))
                done, _ = await asyncio.wait((task,), timeout=0.1)
                assert not done
                waiting.refuse()
                with pytest.raises(ConnectionRefusedError):
                    await task

    asyncio.run(run())
