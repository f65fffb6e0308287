"""Ways to QEMUs of another host that can be cut; a socket of ours is in the QEMU's place."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing

import pytest

from matrix.errors import HostError, HostLostError
from matrix.hosts.fleet.loan import Loan
from matrix.vm.location import Landing, Passable
from tests.hosts.fleet.conftest import FleetLab
from tests.hosts.fleet.test_loan import borrowing
from tests.hosts.guest_lab import PATIENCE

HIGH, LOW = divmod(os.getpid(), 250)
ADDRESS = f"127.{HIGH % 250 + 1}.{LOW + 1}.77"  # on loopback, and no other test's
QEMU, PASSAGE, MORE = 49152, 49153, 49154


def landing(last: int = MORE) -> Landing:
    return Landing(ADDRESS, QEMU, last, "/keys", "z1")


@pytest.fixture(autouse=True)
def recorded(lab: FleetLab) -> None:
    lab.recorder("a")


@pytest.fixture
def qemu() -> Iterator[socket.socket]:
    with socket.create_server((ADDRESS, QEMU)) as server:
        server.setblocking(False)
        yield server


async def settled(loan: Loan) -> None:
    """Wait until the host has done all that it was told before: one thing after the other."""
    async with loan.passage(QEMU):
        pass


@asynccontextmanager
async def connected(
    port: int, server: socket.socket
) -> AsyncIterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a new connection."""
    loop = asyncio.get_running_loop()
    with closing(socket.socket()) as source:
        source.setblocking(False)
        await loop.sock_connect(source, (ADDRESS, port))
        accepted, _ = await loop.sock_accept(server)
        with closing(accepted):
            yield source, accepted


def test_what_goes_through_can_be_stalled_and_dropped(lab: FleetLab, qemu: socket.socket) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE), borrowing(lab, landing()) as borrower:
            loan = borrower.loan
            assert isinstance(loan, Passable)
            async with loan.passage(QEMU) as passage:
                assert (passage.host, passage.port) == (ADDRESS, PASSAGE)
                async with connected(PASSAGE, qemu) as (source, destination):
                    await loop.sock_sendall(source, b"one")
                    assert await loop.sock_recv(destination, 9) == b"one"
                    passage.stall()
                    await settled(loan)
                    await loop.sock_sendall(source, b"two")
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(loop.sock_recv(destination, 9), 0.1)
                    passage.flow()
                    assert await loop.sock_recv(destination, 9) == b"two"
                    await passage.drop()
                    with pytest.raises(ConnectionResetError):
                        await loop.sock_recv(source, 9)
            async with loan.passage(QEMU) as again:
                assert again.port == PASSAGE

    asyncio.run(work())


@pytest.mark.parametrize(
    ("port", "last", "why"),
    [
        (22, MORE, "host z1: port 22 is none of this host's QEMUs"),
        (QEMU, QEMU, rf"host z1: no port of .*:{QEMU}-{QEMU} is left: .*in use"),
    ],
)
def test_there_is_none(lab: FleetLab, qemu: socket.socket, port: int, last: int, why: str) -> None:
    assert qemu.fileno() >= 0

    async def work() -> None:
        async with borrowing(lab, landing(last)) as borrower:
            with pytest.raises(HostError, match=why):
                async with borrower.loan.passage(port):
                    pass

    asyncio.run(work())


def test_a_host_that_is_lost_opens_none(lab: FleetLab, qemu: socket.socket) -> None:
    async def work() -> None:
        async with borrowing(lab, landing()) as borrower:
            lab.relays["z1"].reset()
            with pytest.raises(HostLostError, match="host z1: the link is down"):
                async with borrower.loan.passage(QEMU):
                    pass

    assert qemu.fileno() >= 0
    asyncio.run(work())
