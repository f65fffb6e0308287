"""gdb at a guest that is migrated: it is gone from a source before ``migrate``, and follows."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from matrix.attempt import ChainResult, Ending
from matrix.migrating import Hop, Migration, MigrationMode
from matrix.migration.chain import run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.gdb_relay import GdbRelay, detach
from matrix.migration.hop_runner import Request
from matrix.model import ExitChannel, Launch
from matrix.vm.machine import Limits
from tests.migration.peers import Guest, Peer

PACKET = re.compile(rb"\x03|\$([^#]*)#..")
EMULATOR = Emulator("peer", "7.2.0", Launch(("peer",), ExitChannel.QEMU_EXIT))


@dataclass
class Stubs:
    """Gdbstubs of QEMUs that are peers; ``log`` has what they are told, and hops."""

    guest: Guest
    log: list[str] = field(default_factory=list)
    servers: list[asyncio.Task[None]] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    begun = False

    def human(self, peer: Peer, words: str) -> str:
        found = re.fullmatch(r'gdbserver "unix:(.+),server=on,wait=off"', words)
        assert found is not None, words
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(found[1])
        self.peers.append(peer)
        self.log.append(f"stub after {self.guest.hops} hops")
        self.servers.append(asyncio.create_task(self._serve(peer, listener)))
        return f"Waiting for gdb connection on device '{found[1]}'\n"

    async def _serve(self, peer: Peer, listener: socket.socket) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if peer.running:
                peer.stop()
            said = b""
            while data := await reader.read(1000):
                said += data
                while packet := PACKET.search(said):
                    said = said[packet.end() :]
                    self._told(peer, (packet[1] or b"^C").decode(), writer)
            writer.close()

        server = await asyncio.start_unix_server(connected, sock=listener)
        async with server:
            await server.serve_forever()

    def _told(self, peer: Peer, packet: str, writer: asyncio.StreamWriter) -> None:
        self.log.append(packet)
        if packet[0] in "cD":
            assert not peer.running
            peer.resume()
            if not self.begun:
                self.begun = True
                peer.begin()
        writer.write({"?": b"+$T05#b9", "D": b"+$OK#9a"}.get(packet[0], b"+"))

    async def close(self) -> None:
        for server in self.servers:
            server.cancel()
        await asyncio.gather(*self.servers, return_exceptions=True)


class Gdb:
    """A client of the remote protocol."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, packet: bytes) -> None:
        self._writer.write(packet)

    async def heard(self, wanted: bytes) -> None:
        await self._reader.readuntil(wanted)

    async def detached(self) -> None:
        """The other side has hung up."""
        await self._reader.read()
        self.close()

    def close(self) -> None:
        self._writer.close()


async def dial(relay: GdbRelay) -> Gdb:
    return Gdb(*await asyncio.open_unix_connection(relay.socket))


@dataclass
class Debugged:
    relay: GdbRelay
    stubs: Stubs
    chain: "asyncio.Task[ChainResult]"
    interrupt: asyncio.Event
    done: asyncio.Event
    """All hops were made."""

    async def ready(self) -> None:
        """Wait until gdb is waited for, and fail with the chain."""
        waiting = asyncio.create_task(self.relay.ready.wait())
        await asyncio.wait((waiting, self.chain), return_when=asyncio.FIRST_COMPLETED)
        assert waiting.done(), self.chain


@contextlib.asynccontextmanager
async def debugged(
    guest: Guest, folder: Path, told: list[str], *, hops: int = 1
) -> AsyncIterator["Debugged"]:
    stubs, interrupt, done = Stubs(guest), asyncio.Event(), asyncio.Event()
    guest.human = stubs.human
    relay = GdbRelay(folder / "gdb.sock", told.append)
    (folder / "attempt").mkdir()
    migration = Migration(mode=MigrationMode.CONTINUOUS, hops=hops, pace=0.0)

    def hopped(hop: Hop) -> None:
        if hop.number == hops:
            done.set()

    request = Request(migration, EMULATOR, proves=True, on_hop=hopped, debugger=relay)
    async with relay.serving():
        chain = asyncio.create_task(
            run_chain(
                request,
                folder / "attempt",
                Limits(timeout=1000, stall=1000),
                on_console=lambda _: None,
                interrupt=interrupt,
            )
        )
        try:
            yield Debugged(relay, stubs, chain, interrupt, done)
        finally:
            interrupt.set()
            await asyncio.wait((chain,))
            await stubs.close()


def test_gdb_follows_a_guest(peers: Guest, tmp_path: Path) -> None:
    told: list[str] = []

    async def follow() -> list[str]:
        async with debugged(peers, tmp_path, told, hops=2) as it:
            await it.ready()
            for hop in range(2):
                gdb = await dial(it.relay)  # the second time the guest may be on its way
                gdb.send(b"+$?#3f")
                await gdb.heard(b"$T05#b9")
                assert peers.hops == hop
                gdb.send(b"+$c#63")
                await gdb.detached()
            gdb = await dial(it.relay)
            gdb.send(b"+$?#3f")
            await gdb.heard(b"$T05#b9")
            it.interrupt.set()
            gdb.close()
            result = await it.chain
            assert (result.outcome.ending, result.bad) == (Ending.INTERRUPTED, ())
            return it.stubs.log

    log = asyncio.run(follow())
    # Two questions in a row: gdb's own, and that which takes its breakpoints out.
    assert log == [
        *("stub after 0 hops", "?", "c", "?", "D;1"),
        *("stub after 1 hops", "?", "c", "?", "D;1"),
        *("stub after 2 hops", "?"),
    ]
    assert told == ["gdb is detached from this QEMU, as the guest leaves it"] * 2
    assert not (tmp_path / "gdb.sock").exists()


def test_a_guest_that_nobody_debugs_hops_on(peers: Guest, tmp_path: Path) -> None:
    """gdb has let it run, and does not come back."""

    async def leave() -> ChainResult:
        async with debugged(peers, tmp_path, [], hops=5) as it:
            await it.ready()
            gdb = await dial(it.relay)
            gdb.send(b"+$c#63")
            await gdb.detached()
            await it.done.wait()
            it.interrupt.set()
            return await it.chain

    result = asyncio.run(leave())
    assert (result.summary.completed, result.bad) == (5, ())


def test_a_qemu_that_ends_before_gdb_lets_it_run(peers: Guest, tmp_path: Path) -> None:
    async def end() -> ChainResult:
        async with debugged(peers, tmp_path, []) as it:
            await it.ready()
            it.stubs.peers[0].die()
            return await it.chain

    assert asyncio.run(end()).summary.hops == 0


def test_a_qemu_without_a_gdbstub(peers: Guest, tmp_path: Path) -> None:
    told: list[str] = []

    async def start() -> None:
        async with debugged(peers, tmp_path, told) as it:
            peers.human = lambda _peer, _words: "gdbstub: unsupported\n"
            await it.ready()

    asyncio.run(start())
    assert told == ["gdb cannot be attached to the guest: gdbstub: unsupported"]


def test_a_stub_that_hangs_up(tmp_path: Path) -> None:
    async def hang_up() -> None:
        async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_unix_server(close, tmp_path / "stub")
        async with server:
            with pytest.raises(ConnectionError):
                await detach(tmp_path / "stub")

    asyncio.run(hang_up())
