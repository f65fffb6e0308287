"""Guests with a disk under real QEMU: it goes along with its queue, and who alters it is found out.

The disk is a file, which one QEMU after the other locks: QEMU's docs/system/qemu-block-drivers.rst
("Disk image file locking").
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.attempt import Attempt
from matrix.migrating import Fault, Hop, Migration, MigrationMode, Strategy
from matrix.migration.faults.injectors import injector_for
from matrix.migration.hop_runner import Request
from matrix.migration.live_hop import Injector, LiveHop
from matrix.model import Accelerator, Architecture, Case, Variant
from matrix.plan.disks import disk_size, with_disk
from matrix.suites.registry import suite_of
from matrix.verdict.deciding import Evidence, decide_attempt
from matrix.verdicts import Verdict
from matrix.vm.machine import Limits
from tests import make
from tests.migration.conftest import Chains, RealQemu

pytestmark = pytest.mark.qemu

LIMITS = Limits(timeout=200, stall=60, start=60)
TEST = "disk-integrity"
SECTOR = 512
Alter = Callable[[LiveHop], Awaitable[None]]
VICTIM = 448
"""A sector that the guest writes once."""


class Disk:
    """The disk of a guest, and how the guest is asked for with it."""

    def __init__(self, path: Path, real: RealQemu) -> None:
        self.path = path
        self._real = real

    def request(self, migration: Migration, architecture: Architecture) -> Request:
        test = self._real.test(TEST, architecture)
        self.path.touch()
        with self.path.open("r+b") as file:
            file.truncate(disk_size(test.qemu_params))
        emulator = self._real.emulator(TEST, migration, architecture)
        launch = with_disk(emulator.launch, str(self.path))
        return Request(migration, replace(emulator, launch=launch), seed=1, proves=True)

    @property
    def holders(self) -> set[str]:
        """Who has a lock on the file: ids of processes, or -1 for open files."""
        inode = f":{self.path.stat().st_ino}"
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        return {lock[4] for lock in locks if len(lock) > 5 and lock[5].endswith(inode)}

    def sector(self, number: int) -> bytes:
        return self.path.read_bytes()[number * SECTOR :][:SECTOR]

    def write(self, number: int, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(number * SECTOR)
            file.write(data)


@pytest.fixture
def disk(tmp_path: Path, real: RealQemu) -> Disk:
    return Disk(tmp_path / "disk,1.img", real)


@pytest.mark.parametrize(
    ("architecture", "strategy"),
    [
        (Architecture.X86_64, Strategy.PRECOPY),
        (Architecture.I386, Strategy.MULTIFD),
        (Architecture.AARCH64, Strategy.POSTCOPY),
        (Architecture.ARM, Strategy.XBZRLE),
        (Architecture.RISCV64, Strategy.FILE),
        (Architecture.RISCV32, Strategy.POSTCOPY_PREEMPT),
        (Architecture.S390X, Strategy.AUTO_CONVERGE),
        (Architecture.PPC64, Strategy.MULTIFD),
        (Architecture.MIPS64EL, Strategy.POSTCOPY),
        # QEMU 7.2 dies of any migration of loongarch64 (matrix/plan/strategy_settings.py).
    ],
)
def test_the_queue_goes_along(
    chains: Chains, disk: Disk, architecture: Architecture, strategy: Strategy
) -> None:
    migration = Migration(mode=MigrationMode.CONTINUOUS, strategies=(strategy,), hops=2, pace=0.15)
    result = chains.run(disk.request(migration, architecture), LIMITS)
    assert (result.bad, result.summary.completed) == ((), 2)
    assert result.outcome.exit_status in (0, 1)
    assert b"FAIL" not in chains.console
    assert b"PASS: disk-integrity: requests: each is answered once, and done" in chains.console
    _, hop = chains.hops  # before the first one there need not have been a beat
    assert hop.requests
    assert hop.in_flight is not None
    assert 1 <= hop.in_flight <= 8
    assert disk.holders == set()


@pytest.mark.parametrize(
    "fault",
    [
        Fault.CANCEL_IN_ACTIVE,
        Fault.CANCEL_IN_PRE_SWITCHOVER,
        Fault.KILL_DESTINATION_IN_PRE_SWITCHOVER,
    ],
)
def test_a_source_that_goes_on_has_its_disk(chains: Chains, disk: Disk, fault: Fault) -> None:
    """And its lock, which the destination must not have taken; then it goes to another one."""
    locked: list[set[str]] = []
    migration = Migration(mode=MigrationMode.ONCE, faults=(fault,), pace=0.15)
    request = disk.request(migration, Architecture.X86_64)

    def hopped(hop: Hop) -> None:
        if hop.fault is fault:
            locked.append(disk.holders)

    request = replace(request, injectors=injector_for)
    result = chains.run(request, LIMITS, on_hop=hopped)
    assert (result.bad, result.summary.completed, result.summary.as_expected) == ((), 1, 1)
    assert b"FAIL" not in chains.console
    assert locked
    assert all(locked)


class Planter(Injector):
    """Alters the disk while the first hop is under way; its source still runs."""

    def __init__(self, alter: Alter) -> None:
        self._alter = alter

    async def before_migrating(self, hop: LiveHop) -> None:
        if hop.number == 1:
            await self._alter(hop)


def attempt_of(chains: Chains, real: RealQemu, request: Request, alter: Alter) -> Attempt:
    """What a case comes to whose disk is altered during its first hop."""
    planted = replace(request, injectors=lambda _: Planter(alter))
    result = chains.run(planted, LIMITS)
    variant = Variant(Architecture.X86_64, Accelerator.TCG)
    suite = "kvm-unit-tests"
    case = Case("s.t", "s", suite, real.test(TEST), variant, real.build(), migration=MIGRATION)
    parser = suite_of(suite).parser()
    parser.feed(chains.console)
    evidence = Evidence(
        decision=make.run(case),
        launch=request.source.launch,
        outcome=result.outcome,
        transcript=parser.finish(),
        hops=result,
        inventory=make.inventory(),
        directory=chains.folder,
        starts_nothing=lambda _: asyncio.sleep(0, ""),
    )
    return asyncio.run(decide_attempt(evidence))


MIGRATION = Migration(
    mode=MigrationMode.CONTINUOUS, faults=(Fault.CHANGE_DOWNTIME_LIMIT,), hops=2, pace=0.0
)
"""The fault gives way to who alters the disk."""


def test_a_sector_that_is_altered_during_a_hop_is_named(
    chains: Chains, real: RealQemu, disk: Disk
) -> None:
    async def alter(_: LiveHop) -> None:
        data = bytearray(disk.sector(VICTIM))
        data[-1] ^= 0x80
        disk.write(VICTIM, bytes(data))

    request = disk.request(MIGRATION, Architecture.X86_64)
    attempt = attempt_of(chains, real, request, alter)
    assert attempt.verdict is Verdict.FAIL
    assert f"sector {VICTIM} (kept, generation 1): the word at byte 504" in attempt.reason
    assert chains.hops[-1].good  # no fault of the hop: it is the guest that says so


def test_a_sector_that_is_rolled_back_during_a_hop_is_named(
    chains: Chains, real: RealQemu, disk: Disk
) -> None:
    """Some, as a request may be writing one of them just then."""

    async def alter(hop: LiveHop) -> None:
        before = [disk.sector(number) for number in range(64)]

        def changed() -> list[int]:
            return [number for number in range(64) if disk.sector(number) != before[number]]

        assert await hop.source.board.until(lambda: len(changed()) >= 16, LIMITS.timeout)
        for number in changed():
            disk.write(number, before[number])

    request = disk.request(MIGRATION, Architecture.X86_64)
    attempt = attempt_of(chains, real, request, alter)
    assert attempt.verdict is Verdict.FAIL
    found = re.search(r"sector (\d+) \(rewritten, generation (\d+)\): .* differ", attempt.reason)
    assert found, attempt.reason
    assert int(found[1]) < 64
    assert b"; it is sound, but of generation " in chains.console
