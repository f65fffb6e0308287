"""Who is not let in by the orchestrator's gate, and what is said of them."""

import asyncio
import re
import socket
import ssl
from pathlib import Path

import pytest

from matrix.errors import HostLostError
from matrix.hosts.fleet.gate import MOST_STRANGERS, Gate, arrival_within
from matrix.hosts.fleet.link import Credentials
from tests.hosts.fleet.conftest import ORCHESTRATOR, Authority


def gate_of(authority: Authority) -> Gate:
    context = authority.credentials(ORCHESTRATOR).context(server=True)
    return Gate("127.0.0.1", 0, context, {"z1": "z1"})


async def noted(gate: Gate, address: str) -> None:
    async with asyncio.timeout(20):
        while address not in gate.strangers:  # noqa: ASYNC110 - told in its time
            await asyncio.sleep(0.01)


def told(gate: Gate) -> str:
    with pytest.raises(HostLostError) as caught:
        asyncio.run(waited(gate))
    return str(caught.value)


async def waited(gate: Gate) -> None:
    async with gate.opened():
        await arrival_within(gate, "z1", 0.0)


async def greet(gate: Gate, context: ssl.SSLContext | None, said: bytes, address: str) -> None:
    """Dial from an address, and say something to whoever is there."""
    name = None if context is None else ORCHESTRATOR
    _, writer = await asyncio.open_connection(
        "127.0.0.1",
        gate.port,
        ssl=context,
        server_hostname=name,
        local_addr=(address, 0),
    )
    writer.write(said)
    await noted(gate, address)
    writer.transport.abort()


def test_a_certificate_of_another_authority_is_told_of(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    theirs = others.credentials("z1")
    mixed = Credentials(ours.credentials("z1").authority, theirs.certificate, theirs.key)
    gate = gate_of(ours)

    async def dialled() -> None:
        async with gate.opened():
            await greet(gate, mixed.context(server=False), b"", "127.0.0.1")

    asyncio.run(dialled())
    assert re.fullmatch(
        r"it has not joined within 0 s; a connection from 127\.0\.0\.1 was refused:"
        r" its certificate is not one of this fleet: [a-z -]+",
        told(gate),
    )


def test_only_the_latest_strangers_are_told_of_and_none_of_their_words(tmp_path: Path) -> None:
    gate = gate_of(Authority(tmp_path / "ours"))
    addresses = [f"127.0.0.{i}" for i in range(2, MOST_STRANGERS + 3)]

    async def dialled() -> None:
        async with gate.opened():
            for address in addresses:
                await greet(gate, None, b"GET /\x1b[31mhostile HTTP/1.0\r\n\r\n", address)

    asyncio.run(dialled())
    assert [*gate.strangers] == addresses[1:]
    refused = "".join(
        f"; a connection from {address} was refused: it speaks no TLS as ours: http request"
        for address in addresses[1:]
    )
    assert told(gate) == f"it has not joined within 0 s{refused}"


def test_one_that_does_not_take_our_certificate_is_told_of_by_its_alert(tmp_path: Path) -> None:
    gate = gate_of(Authority(tmp_path / "ours"))
    context = Authority(tmp_path / "others").credentials("z1").context(server=False)

    def dial() -> None:  # without asyncio, which drops the alert
        with (
            socket.create_connection(("127.0.0.1", gate.port)) as connection,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(connection, server_hostname=ORCHESTRATOR)

    async def dialled() -> None:
        async with gate.opened():
            await asyncio.to_thread(dial)
            await noted(gate, "127.0.0.1")

    asyncio.run(dialled())
    assert told(gate).endswith("it takes no certificate of this fleet: its TLS alert is unknown ca")


def test_who_is_cut_off_as_the_gate_closes_is_no_stranger(tmp_path: Path) -> None:
    gate = gate_of(Authority(tmp_path / "ours"))

    async def dialled() -> None:
        async with gate.opened():
            _, writer = await asyncio.open_connection("127.0.0.1", gate.port)
            async with asyncio.timeout(20):
                while not gate._coming:  # noqa: ASYNC110 - the kernel says when
                    await asyncio.sleep(0.01)
        writer.transport.abort()

    asyncio.run(dialled())
    assert told(gate) == "it has not joined within 0 s"
