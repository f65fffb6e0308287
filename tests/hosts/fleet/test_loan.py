"""QEMUs of a host that are driven from elsewhere; programs of ours are in their place."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from matrix.errors import HostError, HostLostError
from matrix.hosts.console_batch import UNREAD_MOST
from matrix.hosts.fleet.fleet_host import FleetExecutor
from matrix.hosts.fleet.lending import Lending
from matrix.hosts.fleet.loan import Loan
from matrix.hosts.fleet.messages import CHUNK, Data, FleetKind, Lend, Start
from matrix.hosts.interface import Assignment
from matrix.hosts.local.launch import UnstartableError
from matrix.migration.endpoint import Emulator
from matrix.model import ExitChannel, Launch
from matrix.places import NOWHERE
from matrix.vm.location import Landing, Started, Streams
from tests.hosts.fleet.conftest import FleetLab
from tests.hosts.guest_lab import PATIENCE
from tests.hosts.workers.test_local_workers import gone

LANDING = Landing("127.0.0.1", 49152, 49155, "/keys", "z1")
TALKER = """
import os, socket, sys
word = next(word for word in sys.argv if "fd=" in word)
monitor = socket.socket(fileno=int(word.rpartition("=")[2]))
print("pid", os.getpid(), flush=True)
for line in monitor.makefile("rb"):
    if line == b"quit\\n":
        sys.stderr.write("last words")
        sys.exit(3)
    os.write(1, b"printed " + line)
    monitor.sendall(b"said " + line)
"""
"""Prints what its monitor is told, then says so there."""
ECHOER = "import sys; print('typed', sys.stdin.readline(), end='', flush=True); sys.stdin.read()"


def program(script: str) -> Launch:
    return Launch((sys.executable, "-ISuc", script), ExitChannel.CONSOLE)


@dataclass
class Heard:
    """What a program has said, and what failed."""

    order: list[str] = field(default_factory=list)
    text: dict[str, bytes] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def streams(self, *, typing: bool = False) -> Streams:
        return Streams(
            lambda data: self.take("console", data),
            lambda data: self.take("errors", data),
            self.failures.append,
            typing,
        )

    def take(self, stream: str, data: bytes) -> None:
        self.order.append(stream)
        self.text[stream] = self.text.get(stream, b"") + data
        self.news.set()

    async def until(self, stream: str, text: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            while text not in self.text.get(stream, b""):
                self.news.clear()
                await self.news.wait()

    @property
    def guest(self) -> psutil.Process:
        return psutil.Process(int(self.text["console"].split()[1]))


@dataclass
class Borrower:
    """Who drives programs of the host ``z1``."""

    lab: FleetLab
    executor: FleetExecutor
    loan: Loan

    async def talker(self, heard: Heard) -> tuple[Started, socket.socket]:
        started = await self.loan.start(program(TALKER), heard.streams())
        peer = started.take_peer()
        assert peer is not None
        await heard.until("console", b"\n")
        return started, peer


Outfit = tuple[Path, tuple[Emulator, ...]]


async def outfit(_assignment: Assignment, _qemus: tuple[str, ...]) -> Outfit:
    return NOWHERE, (Emulator("system", "1.2.3", program("")),)


@asynccontextmanager
async def borrowing(lab: FleetLab, landing: Landing = LANDING) -> AsyncIterator[Borrower]:
    lab.landing = landing
    async with lab.fleet("z1") as hosts:
        lab.tenancy("z1").lendings.outfit = outfit
        async with hosts["z1"].lend(lab.assignment("a"), ("system",)) as loan:
            yield Borrower(lab, hosts["z1"], loan)


@pytest.fixture(autouse=True)
def recorded(lab: FleetLab) -> None:
    lab.recorder("a")


def test_all_that_a_qemu_says_comes_in_its_order_and_its_end_comes_last(lab: FleetLab) -> None:
    async def work() -> None:
        async with borrowing(lab) as borrower:
            heard = Heard()
            started, peer = await borrower.talker(heard)
            peer.setblocking(False)
            loop = asyncio.get_running_loop()
            for number in range(20):
                await loop.sock_sendall(peer, b"%d\n" % number)
                said = await asyncio.wait_for(loop.sock_recv(peer, 100), PATIENCE)
                # What its guest printed before is here, without a moment to wait.
                assert (said, heard.text["console"].splitlines()[-1]) == (
                    b"said %d\n" % number,
                    b"printed %d" % number,
                )
            await loop.sock_sendall(peer, b"quit\n")
            assert await started.process.ended_within(PATIENCE)
            assert (started.process.status, started.process.ended_by_us) == (3, False)
            assert heard.text["errors"] == b"last words"
            assert await loop.sock_recv(peer, 100) == b""
            peer.close()
            started.close()

    asyncio.run(work())


def test_what_is_typed_arrives_and_a_signal_ends_it(lab: FleetLab) -> None:
    async def work() -> None:
        async with borrowing(lab) as borrower:
            heard = Heard()
            started = await borrower.loan.start(program(ECHOER), heard.streams(typing=True))
            started.type(b"hello\n")
            await heard.until("console", b"typed hello\n")
            started.process.kill_group(signal.SIGKILL)
            assert await started.process.ended_within(PATIENCE)
            assert (started.process.status, started.process.ended_by_us) == (-9, True)
            started.close()

    asyncio.run(work())


def test_its_threads_are_looked_at_where_it_runs(lab: FleetLab) -> None:
    async def work() -> None:
        heard = Heard()
        async with borrowing(lab) as borrower:
            started, peer = await borrower.talker(heard)
            threads = await started.process.threads(PATIENCE)
            assert [thread.number for thread in threads] == [heard.guest.pid]
            assert threads[0].state in "RSD"
            started.process.kill_group(signal.SIGKILL)
            assert await started.process.ended_within(PATIENCE)
            assert await started.process.threads(PATIENCE) == ()
            peer.close()
            started.close()

    asyncio.run(work())


def test_nothing_but_the_qemus_of_the_attempt_is_started(lab: FleetLab) -> None:
    async def work() -> None:
        async with borrowing(lab) as borrower:
            heard = Heard()
            started = await borrower.loan.start(
                Launch(("/bin/true",), ExitChannel.CONSOLE), heard.streams()
            )
            assert await started.process.ended_within(PATIENCE)
            why = "/bin/true is no QEMU of this attempt"
            assert [str(each) for each in heard.failures] == [why]
            assert borrower.loan.trouble == why
            started.close()

    asyncio.run(work())


def test_what_runs_is_ended_with_the_loan(lab: FleetLab) -> None:
    async def work() -> None:
        heard = Heard()
        async with borrowing(lab) as borrower:
            started, peer = await borrower.talker(heard)
            peer.close()
            guest = heard.guest
        assert gone(guest)
        assert started.process.status == -9
        started.close()

    asyncio.run(work())


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_link_that_is_lost_takes_its_qemus_along(lab: FleetLab, *, comes_back: bool) -> None:
    """Whoever waits for their end waits until the host has said so, or its lease is over."""
    lab.lease = 1000.0 if comes_back else 1.0

    async def work() -> None:
        heard = Heard()
        async with borrowing(lab) as borrower:
            started, peer = await borrower.talker(heard)
            guest = heard.guest
            if comes_back:
                lab.relays["z1"].reset()
            else:
                lab.relays["z1"].cut()
            await asyncio.wait_for(started.process.destroy(), PATIENCE)
            assert gone(guest)
            (failure,) = heard.failures
            assert str(failure).startswith("host z1"), failure
            peer.close()
            started.close()
            lab.relays["z1"].heal()
        assert borrower.loan.lost is failure
        assert borrower.loan.trouble == str(failure)

    asyncio.run(work())


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_worker_that_is_to_be_killed_is_no_trouble(lab: FleetLab, *, comes_back: bool) -> None:
    """Its QEMUs have ended when another one is there in its place, or its lease is over."""
    lab.lease = 1000.0 if comes_back else 1.0

    async def work() -> None:
        heard = Heard()
        async with borrowing(lab) as borrower:
            started, peer = await borrower.talker(heard)
            lendings, relay = lab.tenancy("z1").lendings, lab.relays["z1"]
            lendings.die = relay.reset if comes_back else relay.cut
            guest = heard.guest
            borrower.loan.kill_worker()
            assert borrower.loan.gone
            await asyncio.wait_for(started.process.destroy(), PATIENCE)
            assert (started.process.status, heard.failures) == (-9, [])
            assert gone(guest)
            peer.close()
            started.close()
            with pytest.raises(HostError, match="host z1"):
                await borrower.loan.start(program(TALKER), heard.streams())
            relay.heal()
        assert borrower.loan.trouble == ""

    asyncio.run(work())


def test_a_worker_with_other_cases_is_not_killed(lab: FleetLab) -> None:
    async def work() -> None:
        heard = Heard()
        async with borrowing(lab) as borrower:
            started, peer = await borrower.talker(heard)
            lendings = lab.tenancy("z1").lendings
            lendings.others_run = lambda: True
            lendings.die = pytest.fail
            borrower.loan.kill_worker()
            await asyncio.wait_for(borrower.loan._losing, PATIENCE)
            why = "host z1: its worker is not killed: other cases run there"
            assert borrower.loan.trouble == why
            assert [str(each) for each in heard.failures] == [why]
            peer.close()
            started.close()

    asyncio.run(work())


def test_what_a_qemu_writes_there_comes_here(lab: FleetLab, tmp_path: Path) -> None:
    def write(path: str, data: bytes) -> None:
        Path(path).write_bytes(data)

    there, here = tmp_path / "there", tmp_path / "memory.elf"
    there.mkdir()
    content = os.urandom(2 * CHUNK + 1)

    async def outfit(_assignment: Assignment, _qemus: tuple[str, ...]) -> Outfit:
        return there, ()

    async def work() -> None:
        lab.landing = LANDING
        async with lab.fleet("z1") as hosts:
            lab.tenancy("z1").lendings.outfit = outfit
            async with hosts["z1"].lend(lab.assignment("a"), ("system",)) as loan:
                write(await loan.room(1000), content)
                assert len([*there.iterdir()]) == 1
                await loan.fetch(here)
                assert here.read_bytes() == content
                assert [*there.iterdir()] == []
                with pytest.raises(HostError, match="No such file or directory"):
                    await loan.fetch(here)  # once
                with pytest.raises(HostError, match="the disk is nearly full"):
                    await loan.room(1 << 60)
                write(await loan.room(1000), b"not wanted any more")
                lab.relays["z1"].reset()
                with pytest.raises(HostLostError, match="host z1: the link is down"):
                    await loan.fetch(here)
            assert [*there.iterdir()] == []

    asyncio.run(work())


def test_a_case_that_a_host_cannot_start_says_why(lab: FleetLab) -> None:
    async def refuse(_assignment: Assignment, _qemus: tuple[str, ...]) -> Outfit:
        raise UnstartableError("its firmware is gone")

    async def work() -> None:
        lab.landing = LANDING
        async with lab.fleet("z1") as hosts:
            lab.tenancy("z1").lendings.outfit = refuse
            with pytest.raises(HostError, match="host z1: its firmware is gone"):
                async with hosts["z1"].lend(lab.assignment("a"), ("system",)):
                    pass

    asyncio.run(work())


def test_a_host_that_takes_no_guests_in_says_so(lab: FleetLab) -> None:
    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            with pytest.raises(HostError, match="host z1: no guest of another host is taken in"):
                async with hosts["z1"].lend(lab.assignment("a"), ("system",)):
                    pass

    asyncio.run(work())


class FullLink:
    """A link over which nothing goes until it has room."""

    def __init__(self) -> None:
        self.printed = 0
        self.exited = asyncio.Event()
        self.has_room = asyncio.Event()
        self.waited = asyncio.Event()

    def say(self, kind: FleetKind, _number: int, body: object) -> None:
        if isinstance(body, Data):
            self.printed += len(body.data)
        if kind is FleetKind.EXITED:
            self.exited.set()

    @property
    def unsent(self) -> int:
        return 0 if self.has_room.is_set() else self.printed

    async def room(self) -> None:
        self.waited.set()
        await self.has_room.wait()


def test_a_flood_waits_for_the_link_and_nothing_of_it_is_lost(lab: FleetLab) -> None:
    size = 3 * UNREAD_MOST
    flood = program(f"import sys; sys.stdout.write('x' * {size})")

    async def work() -> None:
        link = FullLink()
        lending = Lending(1, link, lambda: None)  # type: ignore[arg-type]  # all of it that is used
        lending.begin(Lend(lab.assignment("a"), ("system",)), outfit, LANDING)
        await asyncio.sleep(0)
        lending.order(Start(1, replace(flood, monitor=False), typing=False, incoming=False))
        await asyncio.wait_for(link.waited.wait(), PATIENCE)
        for _ in range(1000):  # turns of the loop, in which it would read all of it
            await asyncio.sleep(0)
        assert UNREAD_MOST < link.printed < 1.5 * UNREAD_MOST
        link.has_room.set()
        await asyncio.wait_for(link.exited.wait(), PATIENCE)
        assert link.printed == size
        await lending.close()

    asyncio.run(work())
