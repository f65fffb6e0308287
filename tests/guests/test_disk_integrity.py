"""The disk-integrity guest on real QEMU: it passes when nothing is touched, and sees what is.

Over hops it is in tests/migration/test_disk_over_hops.py.
"""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from matrix.model import Architecture, Launch, Test
from matrix.plan.disks import disk_size, with_disk
from matrix.suites.build import builtin_build
from tests.guests.proving_guest import ProvingGuest, play, running

pytestmark = pytest.mark.qemu

SUBTESTS = [
    "it takes version 1",
    "it has a queue",
    "memory is filled",
    "every sector is written once",
    "rewritten sectors: every one is as written last",
    "kept sectors: none has changed",
    "requests: each is answered once, and done",
    "interrupts: none is lost",
    "clock: it never goes back",
]
REWRITTEN, KEPT, ANSWERED = SUBTESTS[4:7]
START = re.compile(r"INTEGRITY: START sectors=512 kept=128 depth=(\d+) victim=448")
BEAT = re.compile(
    r"INTEGRITY: BEAT n=(?P<n>\d+) clock=(?P<clock>\d+) gap=(?P<gap>\d+) "
    r"verified=(?P<verified>\d+) passes=(?P<passes>\d+) requests=(?P<requests>\d+) "
    r"inflight=(?P<inflight>\d+)"
)
END = re.compile(
    r"INTEGRITY: END beats=(?P<beats>\d+) verified=(?P<verified>\d+) passes=(?P<passes>\d+) "
    r"requests=(?P<requests>\d+) largest_gap=(?P<gap>\d+)"
)
SECTOR = 512
SECTORS = 512
VICTIM = 448


class DiskGuest(ProvingGuest):
    """A running disk-integrity guest, and its disk."""

    name = "disk-integrity"
    beat_line = BEAT

    @property
    def disk(self) -> Path:
        return self.directory / "disk.img"

    def launched(self, launch: Launch, test: Test) -> Launch:
        self.disk.touch()
        with self.disk.open("r+b") as file:
            file.truncate(disk_size(test.qemu_params))
        return with_disk(launch, str(self.disk))

    async def started(self) -> None:
        await self.until(lambda: any(map(START.fullmatch, self.lines)))

    def sector(self, number: int) -> bytes:
        with self.disk.open("rb") as file:
            file.seek(number * SECTOR)
            return file.read(SECTOR)

    def write(self, number: int, data: bytes) -> None:
        """Behind the guest's back."""
        with self.disk.open("r+b") as file:
            file.seek(number * SECTOR)
            file.write(data)


@pytest.mark.parametrize("architecture", Architecture)
def test_a_disk_that_nobody_touches_is_proven_whole(
    tmp_path: Path, architecture: Architecture
) -> None:
    async def scene(guest: DiskGuest) -> None:
        await guest.started()
        await guest.beat()
        await guest.beat()
        guest.session.type(b"x")  # nothing that it knows, so it beats
        await guest.beat()
        await guest.finish()

    guest = play(running(DiskGuest(tmp_path), architecture), scene)
    assert (guest.said("PASS"), guest.said("FAIL")) == (SUBTESTS, [])
    beats, (end,) = guest.matching(BEAT), guest.matching(END)
    assert [beat["n"] for beat in beats] == list(range(1, len(beats) + 1))
    assert all(beat["inflight"] <= 8 for beat in beats)
    assert any(beat["inflight"] > 1 for beat in beats)
    assert end["requests"] >= beats[-1]["requests"] > beats[0]["requests"] > 0
    # At the end every sector is read once more.
    assert end["verified"] >= beats[-1]["verified"] + SECTORS


@pytest.mark.parametrize(
    "architecture",
    [Architecture.X86_64, Architecture.S390X, Architecture.PPC64, Architecture.MIPS64EL],
)
def test_a_byte_behind_its_back_is_found_and_its_sector_named(
    tmp_path: Path, architecture: Architecture
) -> None:
    async def scene(guest: DiskGuest) -> None:
        await guest.started()
        await guest.beat()
        data = bytearray(guest.sector(VICTIM))
        data[100] ^= 1
        guest.write(VICTIM, bytes(data))
        await guest.until(lambda: guest.said("FAIL"))
        await guest.beat()  # it works on
        await guest.finish()

    guest = play(running(DiskGuest(tmp_path), architecture), scene)
    first, *others = guest.said("FAIL")
    assert first.startswith(f"sector {VICTIM} (kept, generation 1): the word at byte 96 is 0x")
    assert first.endswith("1 of 64 words differ")
    assert others[-1] == KEPT
    assert set(SUBTESTS) - set(guest.said("PASS")) == {KEPT}


def test_sectors_that_are_rolled_back_are_found(tmp_path: Path) -> None:
    """Several, as a request may be writing one of them just then."""

    async def scene(guest: DiskGuest) -> None:
        await guest.started()
        before = [guest.sector(number) for number in range(64)]
        await guest.until(
            lambda: sum(guest.sector(number) != before[number] for number in range(64)) >= 16
        )
        for number in range(64):
            if guest.sector(number) != before[number]:
                guest.write(number, before[number])
        await guest.until(lambda: guest.said("FAIL"))
        await guest.finish()

    guest = play(running(DiskGuest(tmp_path)), scene)
    found = guest.said("FAIL")[0]
    match = re.match(r"sector (\d+) \(rewritten, generation (\d+)\): the word at byte 8 is", found)
    assert match, found
    older = re.search(r"; it is sound, but of generation (\d+)$", found)
    assert older, found  # not always 1: it may have been rewritten before it was first looked at
    assert int(older[1]) < int(match[2])
    assert int(match[1]) < 64
    assert int(match[2]) > 1
    assert set(SUBTESTS) - set(guest.said("PASS")) == {REWRITTEN}


@pytest.mark.parametrize(
    ("data", "nature"),
    [
        (b"\0" * SECTOR, "it is all zero"),
        (None, f"it is sector {VICTIM + 1} of generation 1"),
    ],
    ids=["zero", "another sector"],
)
def test_it_says_what_a_sector_holds_instead(
    tmp_path: Path, data: bytes | None, nature: str
) -> None:
    async def scene(guest: DiskGuest) -> None:
        await guest.started()
        guest.write(VICTIM, data or guest.sector(VICTIM + 1))
        await guest.until(lambda: guest.said("FAIL"))
        await guest.finish()

    guest = play(running(DiskGuest(tmp_path)), scene)
    assert guest.said("FAIL")[0].startswith(f"sector {VICTIM} (kept, generation 1): ")
    assert guest.said("FAIL")[0].endswith(f"; {nature}")


def test_a_request_that_the_disk_refuses_is_found(tmp_path: Path) -> None:
    """The file has become shorter: what lies behind its end cannot be read."""

    async def scene(guest: DiskGuest) -> None:
        await guest.started()
        with guest.disk.open("r+b") as file:
            file.truncate(VICTIM * SECTOR)
        await guest.until(lambda: guest.said("FAIL"))
        await guest.finish()

    guest = play(running(DiskGuest(tmp_path)), scene)
    assert set(guest.said("FAIL")) & {KEPT, ANSWERED}


@pytest.mark.parametrize("depth", [1, 16])
def test_as_many_requests_are_in_flight_as_are_asked_for(tmp_path: Path, depth: int) -> None:
    async def scene(guest: DiskGuest) -> None:
        await guest.started()
        while not any(beat["inflight"] == depth for beat in guest.matching(BEAT)):
            await guest.beat()
        await guest.finish()

    guest = play(running(DiskGuest(tmp_path), arguments=f"depth={depth} seed=7 flush=1"), scene)
    assert guest.said("FAIL") == []
    assert all(beat["inflight"] <= depth for beat in guest.matching(BEAT))


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("depths=1", "expected depth=REQUESTS, ram=MIB, seed=NUMBER, seconds=N or flush=MS"),
        ("seed=x", "expected depth=REQUESTS"),
        ("depth=0", "depth=0: expected 1 to 16 requests"),
        ("depth=17", "depth=17: expected 1 to 16 requests"),
    ],
)
def test_words_that_it_does_not_know_are_a_failure(
    tmp_path: Path, word: str, complaint: str
) -> None:
    async def scene(guest: DiskGuest) -> None:
        async with asyncio.timeout(200):
            await guest.session.ended

    guest = play(running(DiskGuest(tmp_path), arguments=f"{word} seconds=1"), scene)
    (failure,) = guest.said("FAIL")
    assert complaint in failure


def test_without_a_disk_it_skips(tmp_path: Path) -> None:
    image = Path(builtin_build(Architecture.X86_64).images) / "guest.flat"
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    words = ["-nodefaults", "-display", "none", "-serial", "stdio", "-m", "64"]
    words += ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"]
    words += ["-kernel", str(image), "-append", "disk-integrity"]
    done = subprocess.run([qemu, *words], capture_output=True, check=False, timeout=200)
    assert done.returncode == 77
    assert b"SKIP: disk-integrity: no such virtio device of version 1" in done.stdout
