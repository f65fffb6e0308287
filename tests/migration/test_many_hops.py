"""Thousands of hops in one chain: what the orchestrator takes does not grow with their number.

The QEMUs are peers in this very process, as starting thousands of programs would take minutes: a
peer has what a program would be given (the ends of its pipes and of its monitor's socket), speaks
QMP, and answers ``migrate`` at once. All else is as in a soak: sessions, monitors, endpoints, the
board, the runner, the guest's proof, the joined console, the logs and the records. What a started
program takes besides, test_chain.py looks at.
"""

import asyncio
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Any

import pytest

from matrix.attempt import ChainResult, Ending
from matrix.migrating import Hop, Limits, Migration, MigrationMode, Strategy, Transport
from matrix.migration.chain import run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.folding import FOLDED_AT, HOPS_FILE
from matrix.migration.hop_runner import Request
from matrix.migration.statistics import QUANTITIES, WORST_TOLD
from matrix.model import ExitChannel, Launch
from matrix.vm import machine
from matrix.vm import qemu_session as session
from matrix.vm.logs import TRANSCRIPT_BYTES

ALONE = "MATRIX_TEST_ALONE"
"""Set in the environment of the process that makes the hops."""

HOPS = 3000
SETTLED = 500
"""Hops after which all that is bounded has come to its bound: logs, buckets, free lists."""
OBJECTS_PER_HOP = 0.25
"""What the collector knows of (lists, tasks, futures, records): one that is kept of each hop is 1.
Measured: 0.02, of processes on their way out, which are more at one moment than at another."""
BLOCKS_PER_HOP = 3
"""What Python has allocated, numbers and strings too: a hop's record has some 30. Measured: 1, of
buckets that statistics open for values not seen before, at most some 700 for each quantity."""
RESIDENT = 8 << 20
"""Bytes of all hops: what C code keeps, too. The allocator's fragments are some 400 kB at any time,
and the kernel may make one page of 2 MiB of many small ones."""
LOG_BYTES = 1 << 14
OTHER_FILES = (TRANSCRIPT_BYTES + 2 * LOG_BYTES) * 3 // 2
"""Bytes: a log that is being written has a head of half its size and a tail in two pieces."""
RECORD_PER_HOP = 4096
"""Bytes of a line of hops.jsonl; measured: 1,500."""
WORST_KEPT = len(QUANTITIES) * WORST_TOLD
"""Lines of hops.jsonl beside the last ones."""
DESCRIPTORS = 4 * (machine.ENDING_AT_ONCE + 2)
"""Of processes that are on their way out, which may be more at one moment than at another: each has
its monitor, its input and two outputs."""

CAPABILITIES = ("events", "return-path", "postcopy-ram", "multifd", "xbzrle")
ANSWERS: dict[str, object] = {
    "query-migrate-capabilities": [{"capability": name, "state": False} for name in CAPABILITIES],
    "query-migrate-parameters": {
        "max-bandwidth": 1 << 27,
        "downtime-limit": 300,
        "multifd-channels": 2,
        "xbzrle-cache-size": 1 << 26,
    },
    "query-cpus-fast": [{"cpu-index": 0, "qom-path": "/machine/cpu", "thread-id": 1}],
}


class Guest:
    """Beats whenever it has been carried over, on whoever runs it."""

    def __init__(self) -> None:
        self.beats = 0
        self.hops = 0
        self.listening: Peer | None = None

    def beat(self) -> bytes:
        self.beats += 1
        clock = time.monotonic_ns()
        return b"INTEGRITY: BEAT n=%d clock=%d gap=1000000 verified=1 passes=1\n" % (
            self.beats,
            clock,
        )


class Program:
    """What :func:`matrix.vm.process.spawn` returns, of a program that is none."""

    def __init__(self, argv: tuple[str, ...], descriptors: tuple[int, ...]) -> None:
        self.argv = argv
        self.pid = os.getpid()
        self.ended_by_us = False
        self.peer: Peer | None = None
        self._descriptors = descriptors
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def status(self) -> int | None:
        return self._exit.result() if self._exit.done() else None

    def on_exit(self, callback: Callable[[], None]) -> None:
        self._exit.add_done_callback(lambda _: callback())

    async def ended_within(self, seconds: float) -> bool:
        await asyncio.wait((self._exit,), timeout=seconds)
        return self._exit.done()

    def kill_group(self, _number: Signals) -> None:
        self.end(-9)

    async def stop(self, _grace: float) -> None:
        self.end(-15)

    async def destroy(self) -> None:
        self.end(-9)

    def end(self, status: int) -> None:
        if self._exit.done():
            return
        self._exit.set_result(status)
        if self.peer is not None:
            self.peer.transport.close()
        for descriptor in self._descriptors:
            os.close(descriptor)


class Peer(asyncio.Protocol):
    """A QEMU's end of its monitor."""

    transport: asyncio.Transport

    def __init__(self, program: Program, guest: Guest, console: int) -> None:
        self._program, self._guest, self._console = program, guest, console
        self._text = ""
        self._running = False
        self._status = "none"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        version = {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": "peer"}
        self._send({"QMP": {"version": version, "capabilities": ["oob"]}})

    def data_received(self, data: bytes) -> None:
        self._text += data.decode()
        while self._text:
            try:
                message, end = json.JSONDecoder().raw_decode(self._text)
            except json.JSONDecodeError:
                return
            self._text = self._text[end:].lstrip()
            self._execute(message)

    def _execute(self, message: dict[str, Any]) -> None:
        name = message.get("execute") or message.get("exec-oob")
        after: Callable[[], None] | None = None
        match name:
            case "cont":
                self._resume()
                after = self._begin
            case "migrate-incoming":
                self._guest.listening = self
            case "migrate":
                after = self._migrate
            case "quit":
                after = self._quit
            case _:
                pass
        number = {"id": message["id"]} if "id" in message else {}
        self._send({"return": self._answer(str(name)), **number})
        if after is not None:
            after()

    def _answer(self, name: str) -> object:
        if name == "query-status":
            return {"status": "running" if self._running else "paused", "running": self._running}
        if name == "query-migrate":
            ram = {"transferred": 10**6 + self._guest.hops % 97, "remaining": 0, "page-size": 4096}
            counts = {"dirty-sync-count": 2 + self._guest.hops % 3, "mbps": 800.0}
            times = {"total-time": 20 + self._guest.hops % 13, "downtime": 1}
            return {"status": self._status, **times, "ram": {**ram, **counts}}
        return ANSWERS.get(name, {})

    def _begin(self) -> None:
        os.write(self._console, b"INTEGRITY: START vcpus=1 page=4096\n" + self._guest.beat())

    def _migrate(self) -> None:
        destination, self._guest.listening = self._guest.listening, None
        assert destination is not None
        self._guest.hops += 1
        for side in (destination, self):
            side.migration("setup")
            side.migration("active")
        self._event("MIGRATION_PASS", {"pass": 1})
        self._running = False
        self._event("STOP")
        self.migration("completed")
        destination.take_over()

    def take_over(self) -> None:
        self._resume()
        os.write(self._console, self._guest.beat())
        self.migration("completed")

    def migration(self, status: str) -> None:
        self._status = status
        self._event("MIGRATION", {"status": status})

    def _resume(self) -> None:
        self._running = True
        self._event("RESUME")

    def _quit(self) -> None:
        self._program.end(0)

    def _event(self, name: str, data: dict[str, object] | None = None) -> None:
        now = time.time()
        stamp = {"seconds": int(now), "microseconds": int(now % 1 * 1e6)}
        self._send({"timestamp": stamp, "event": name, **({"data": data} if data else {})})

    def _send(self, message: dict[str, object]) -> None:
        self.transport.write(json.dumps(message).encode() + b"\r\n")


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is started is a peer, of one guest."""
    guest = Guest()

    async def spawn(
        argv: tuple[str, ...],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        pass_fds: tuple[int, ...],
        **_others: object,
    ) -> Program:
        console = os.dup(stdout)
        program = Program(argv, (os.dup(stdin), console, os.dup(stderr)))
        (monitor,) = pass_fds
        peer = Peer(program, guest, console)
        await asyncio.get_running_loop().create_connection(
            lambda: peer, sock=socket.socket(fileno=os.dup(monitor))
        )
        program.peer = peer
        return program

    monkeypatch.setattr(session, "spawn", spawn)


@dataclass(slots=True)
class Taken:
    """What the orchestrator takes at one moment."""

    resident: int
    """Bytes."""
    descriptors: int
    objects: int
    blocks: int
    records: int
    """Bytes of hops.jsonl."""
    other: int
    """Bytes of all other files."""
    names: set[str]


@dataclass(slots=True)
class Ledger:
    """Looks when so many hops are over, and ends the chain at the last."""

    attempt: Path
    private: Path
    interrupt: asyncio.Event = field(default_factory=asyncio.Event)
    taken: dict[int, Taken] = field(default_factory=dict)

    def hopped(self, hop: Hop) -> None:
        assert hop.good, hop.reason
        if hop.number in (SETTLED, HOPS):
            self.taken[hop.number] = self._look()
        if hop.number == HOPS:
            self.interrupt.set()

    def _look(self) -> Taken:
        gc.collect()
        files = [path for path in self.attempt.rglob("*") if path.is_file()]
        private = list(self.private.rglob("*"))
        records = (self.attempt / HOPS_FILE).stat().st_size
        return Taken(
            _resident(),
            len(list(Path("/proc/self/fd").iterdir())),
            len(gc.get_objects()),
            sys.getallocatedblocks(),
            records,
            sum(path.stat().st_size for path in files) - records,
            {path.name for path in files} | {f"private {path.name}" for path in private},
        )


def _resident() -> int:
    """Bytes of our own: pages of files come and go as the host likes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("RssAnon:"))
    return int(kibibytes) << 10


def soak(folder: Path) -> tuple[ChainResult, Ledger]:
    """A chain of :data:`HOPS` hops."""
    attempt, private = folder / "attempt", folder / "private"
    attempt.mkdir(mode=0o700)
    migration = Migration(
        mode=MigrationMode.CONTINUOUS,
        strategies=(Strategy.PRECOPY, Strategy.XBZRLE),
        transports=(Transport.UNIX,),
        pace=0.0,
        limits=Limits(downtime_max=1e-6),  # each hop breaks it: that is not to pile up either
    )
    launch = Launch(("qemu",), ExitChannel.QEMU_EXIT)

    async def chain() -> tuple[ChainResult, Ledger]:
        ledger = Ledger(attempt, private)
        request = Request(
            migration, Emulator("peer", "7.2.0", launch), on_hop=ledger.hopped, proves=True
        )
        limits = machine.Limits(timeout=100_000, stall=1000, log_bytes=LOG_BYTES)
        result = await run_chain(
            request, attempt, limits, on_console=lambda _: None, interrupt=ledger.interrupt
        )
        return result, ledger

    return asyncio.run(chain())


@pytest.mark.slow  # 3,000 hops take some 20 s on a quiet host, as a leak shows only over many
def test_nothing_grows_with_the_number_of_hops() -> None:
    """In a fresh process: the heap of one that has run other tests is full of holes, and was seen
    to grow by 35 MiB while nothing was kept."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::test_alone"],
        env={**kept, ALONE: "1"},
        capture_output=True,
        text=True,
        timeout=1200,  # only ends a hang
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    ALONE not in os.environ, reason="test_nothing_grows_with_the_number_of_hops runs it"
)
@pytest.mark.usefixtures("peers")
def test_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "private").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "private"))
    result, ledger = soak(tmp_path)
    assert result.outcome.ending is Ending.INTERRUPTED, result.outcome.reason
    assert (result.summary.completed, result.summary.bad) == (HOPS, 0)
    before, after = ledger.taken[SETTLED], ledger.taken[HOPS]
    hops = HOPS - SETTLED
    assert (after.objects - before.objects) / hops < OBJECTS_PER_HOP
    assert (after.blocks - before.blocks) / hops < BLOCKS_PER_HOP
    assert after.resident - before.resident < RESIDENT
    assert abs(after.descriptors - before.descriptors) <= DESCRIPTORS
    assert after.names == before.names
    assert after.other <= OTHER_FILES
    lines = (tmp_path / "attempt" / HOPS_FILE).read_bytes().splitlines()
    assert len(lines) < FOLDED_AT + WORST_KEPT < HOPS
    assert after.records < len(lines) * RECORD_PER_HOP
    assert list((tmp_path / "private").iterdir()) == []
