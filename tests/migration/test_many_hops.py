"""Thousands of hops in one chain: what the orchestrator takes does not grow with their number.

The QEMUs are peers in this very process, as starting thousands of programs would take minutes. All
else is as in a soak: sessions, monitors, endpoints, the board, the runner, the guest's proof, the
joined console, the logs and the records. What a started program takes besides, test_chain.py looks
at.
"""

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

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
from matrix.vm.logs import TRANSCRIPT_BYTES

ALONE = "MATRIX_TEST_ALONE"
"""Set in the environment of the process that makes the hops."""

HOPS = 2400
SETTLED = 500
"""Hops after which all that is bounded has come to its bound: logs, buckets, free lists."""
OBJECTS_PER_HOP = 0.25
"""What the collector knows of (lists, tasks, futures, records): one that is kept of each hop is 1.
Measured: 0.02, of processes on their way out, which are more at one moment than at another."""
BLOCKS_PER_HOP = 3
"""What Python has allocated, numbers and strings too: a hop's record has some 30. Measured: 1.2, of
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


@pytest.mark.slow  # 2,400 hops take some 15 s on a quiet host, as a leak shows only over many
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
