"""The ram-integrity guest on real QEMU: it passes when nothing is touched, and sees what is."""

import asyncio
import os
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from matrix.migration.proof import ASK
from matrix.model import Accelerator, Architecture
from tests.guests.proving_guest import PATIENCE, ProvingGuest, play, running
from tests.migration.corrupt import corrupt

pytestmark = pytest.mark.qemu

EVERY_ARCHITECTURE = pytest.mark.parametrize("architecture", list(Architecture))
NEWER = (Architecture.RISCV32, Architecture.LOONGARCH64)
IN_FULL = pytest.mark.parametrize(
    "architecture", [each for each in Architecture if each not in NEWER]
)
"""One test of each architecture is enough where only what all have in common is tested: riscv32's
sources are riscv64's, and the suite has its limits."""
SUBTESTS = (
    "working set: every page is as it was written last",
    "static pages: none has changed",
    "zero pages: all are still zero",
    "counters: every vCPU counts on",
    "clocks: none goes back",
    "floating point: registers keep their values",
    "vector: registers keep their values",
)
NO_VECTORS = (Architecture.RISCV64, Architecture.RISCV32)
START = re.compile(
    r"INTEGRITY: START vcpus=(?P<vcpus>\d+) page=4096 pages=(?P<pages>\d+) set=(?P<set>\d+) "
    r"static=(?P<static>\d+) zero=(?P<zero>\d+) base=0x(?P<base>[0-9a-f]+) "
    r"victim=0x(?P<victim>[0-9a-f]+) dirty=0x(?P<dirty>[0-9a-f]+)"
)
BEAT = re.compile(
    r"INTEGRITY: BEAT n=(?P<n>\d+) clock=(?P<clock>\d+) gap=(?P<gap>\d+) "
    r"verified=(?P<verified>\d+) passes=(?P<passes>\d+)"
)
END = re.compile(
    r"INTEGRITY: END beats=(?P<beats>\d+) verified=(?P<verified>\d+) passes=(?P<passes>\d+) "
    r"largest_gap=(?P<gap>\d+)"
)
PAGE = 4096
SMALL = "region=8 set=2 rate=8"
"""An eighth of a second for a walk over everything else, at 16 MiB/s less than half a second."""


class Guest(ProvingGuest):
    """A running ram-integrity guest."""

    name = "ram-integrity"
    beat_line = BEAT

    async def start(self) -> dict[str, int]:
        """Wait for START; what it says."""
        await self.until(lambda: self.matching(START))
        return self.matching(START)[0]

    async def corrupt(self, address: int) -> None:
        assert self.session.monitor is not None
        await corrupt(self.session.monitor, address, directory=self.directory)

    @property
    def failures(self) -> list[str]:
        """The FAIL lines, without what all of them begin with."""
        return [
            line.removeprefix("FAIL: ram-integrity: ")
            for line in self.lines
            if line.startswith("FAIL: ")
        ]

    @property
    def passes(self) -> list[str]:
        return [
            line.removeprefix("PASS: ram-integrity: ")
            for line in self.lines
            if line.startswith("PASS: ")
        ]


def expected_passes(architecture: Architecture, lines: Iterable[str] = ()) -> set[str]:
    # QEMU 7.2 has no vector registers on loongarch64, later ones have.
    lacking = architecture in NO_VECTORS or any("the CPU has no LSX" in line for line in lines)
    return set(SUBTESTS[:-1] if lacking else SUBTESTS)


def page_of(address: int, started: dict[str, int]) -> int:
    return (address - started["base"]) // PAGE


@EVERY_ARCHITECTURE
def test_untouched_memory_is_proven_whole(tmp_path: Path, architecture: Architecture) -> None:
    async def scene(guest: Guest) -> None:
        started = await guest.start()
        assert started["pages"] == started["set"] + started["static"] + started["zero"]
        assert (started["vcpus"], started["pages"], started["set"]) == (2, 16 * 256, 4 * 256)
        assert started["static"] > 0
        assert started["zero"] > 0
        await guest.beat(4)
        guest.session.type(b"x\r\n")  # nothing that it knows, so it beats
        await guest.beat(1)
        await guest.finish()

    guest = play(running(Guest(tmp_path), architecture, smp=2), scene)
    assert guest.failures == []
    assert set(guest.passes) == expected_passes(architecture, guest.lines)
    beats = guest.matching(BEAT)
    assert [beat["n"] for beat in beats] == list(range(1, len(beats) + 1))
    for earlier, later in pairwise(beats):
        assert later["clock"] > earlier["clock"]
        assert later["verified"] >= earlier["verified"]
        assert later["passes"] >= earlier["passes"]
    # Ten in a second of the guest's clock, which a busy host lets a beat or two behind.
    assert all(beat["clock"] >= beat["n"] * 100_000_000 for beat in beats[:4])
    (end,) = guest.matching(END)
    (started,) = guest.matching(START)
    assert end["beats"] == len(beats)
    assert end["verified"] >= beats[-1]["verified"] + started["pages"]
    assert end["gap"] >= max(beat["gap"] for beat in beats)
    assert any(line.startswith("SUMMARY: 7 tests") for line in guest.lines)
    between = guest.lines[
        guest.lines.index(next(line for line in guest.lines if START.fullmatch(line))) :
    ]
    assert next(line for line in between if "INTEGRITY" not in line).startswith("PASS: ")


@IN_FULL
def test_a_byte_that_changes_is_found_at_once(tmp_path: Path, architecture: Architecture) -> None:
    async def scene(guest: Guest) -> None:
        started = await guest.start()
        await guest.beat(2)
        await guest.corrupt(started["victim"])
        await guest.until(lambda: guest.failures)
        await guest.beat(2)  # it works on
        await guest.finish()

    guest = play(running(Guest(tmp_path), architecture, SMALL), scene)
    (started,) = guest.matching(START)
    page = page_of(started["victim"], started)
    assert guest.failures[0].startswith(
        f"page {page} at {started['base'] + page * PAGE:#x} (static"
    )
    assert "1 of" in guest.failures[0]
    assert SUBTESTS[1] in guest.failures
    assert set(guest.passes) == expected_passes(architecture) - {SUBTESTS[1]}
    assert any(
        re.match(r"SUMMARY: \d+ tests, \d+ unexpected failures", line) for line in guest.lines
    )


@pytest.mark.parametrize(
    "architecture", [Architecture.X86_64, Architecture.ARM, Architecture.S390X]
)
def test_a_byte_of_the_working_set_is_found_before_it_is_rewritten(
    tmp_path: Path, architecture: Architecture
) -> None:
    async def scene(guest: Guest) -> None:
        started = await guest.start()
        await guest.beat(1)
        await guest.corrupt(started["dirty"])
        await guest.until(lambda: guest.failures)
        await guest.finish()

    guest = play(running(Guest(tmp_path), architecture, SMALL, smp=2), scene)
    (started,) = guest.matching(START)
    page = page_of(started["dirty"], started)
    assert guest.failures[0].startswith(f"page {page} at ")
    # Rewritten, the page is whole again: one finding.
    assert guest.failures[1:] == [SUBTESTS[0]]


def test_many_corruptions_are_counted_but_not_all_shown(tmp_path: Path) -> None:
    async def scene(guest: Guest) -> None:
        started = await guest.start()
        for page in range(20):
            await guest.corrupt(started["base"] + page * PAGE + 100)
        await guest.beat(8)
        await guest.finish()

    guest = play(running(Guest(tmp_path), Architecture.X86_64, SMALL), scene)
    pages = [failure for failure in guest.failures if failure.startswith("page ")]
    assert len(pages) == 10
    kinds = {kind for page in pages for kind in re.findall(r"\((.*?), epoch", page)}
    assert kinds <= {"static", "working set", "zero"}  # which come first is a matter of time
    assert set(guest.failures[10:]) == set(SUBTESTS[:3])


@IN_FULL
def test_it_may_be_told_to_stop_right_away(tmp_path: Path, architecture: Architecture) -> None:
    async def scene(guest: Guest) -> None:
        await guest.start()
        await guest.finish()

    guest = play(running(Guest(tmp_path), architecture, SMALL, smp=4), scene)
    assert guest.failures == []
    assert set(guest.passes) == expected_passes(architecture)
    (started,) = guest.matching(START)
    assert started["vcpus"] == 4
    assert guest.matching(END)


def test_it_stops_by_itself_after_as_many_seconds_as_it_is_given(tmp_path: Path) -> None:
    async def scene(guest: Guest) -> None:
        async with asyncio.timeout(PATIENCE):
            await guest.session.ended

    arguments = "region=4 set=1 rate=0 seed=7 seconds=1"
    guest = play(running(Guest(tmp_path), Architecture.X86_64, arguments), scene)
    assert guest.failures == []
    # Ten in a second; fewer where the host did not let it run.
    assert 1 <= len(guest.matching(BEAT)) <= 10
    assert guest.matching(END)[0]["passes"] >= 1


@IN_FULL
def test_it_beats_when_it_is_asked_to(tmp_path: Path, architecture: Architecture) -> None:
    """More beats than there were tenths of a second on its clock."""

    async def scene(guest: Guest) -> None:
        def more_than_by_the_clock() -> bool:
            beats = guest.matching(BEAT)
            return bool(beats) and beats[-1]["n"] > beats[-1]["clock"] // 100_000_000 + 2

        await guest.start()
        async with asyncio.timeout(PATIENCE):
            while not more_than_by_the_clock():
                guest.session.type(ASK)
                await guest.beat(1)
        await guest.finish()

    guest = play(running(Guest(tmp_path), architecture, SMALL), scene)
    assert guest.failures == []
    numbers = [beat["n"] for beat in guest.matching(BEAT)]
    assert numbers == [*range(1, len(numbers) + 1)]


@pytest.mark.parametrize("word", ["rates=1", "rate=", "rate=fast", "set=1MiB", "fast"])
def test_words_that_it_does_not_know_are_a_failure(tmp_path: Path, word: str) -> None:
    async def scene(guest: Guest) -> None:
        async with asyncio.timeout(PATIENCE):
            await guest.session.ended

    arguments = f"region=4 {word} seed=1"
    guest = play(running(Guest(tmp_path), Architecture.S390X, arguments), scene)
    (failure,) = guest.failures
    assert "expected rate=MIB" in failure
    assert not guest.matching(START)


@pytest.mark.kvm
@pytest.mark.slow
@pytest.mark.parametrize("smp", [1, 2])
def test_under_kvm(tmp_path: Path, smp: int) -> None:
    """Some 10 to 15 s where KVM is nested: the firmware is slow there."""

    async def scene(guest: Guest) -> None:
        started = await guest.start()
        await guest.beat(5)
        assert guest.failures == []
        await guest.corrupt(started["victim"])
        await guest.until(lambda: guest.failures)
        await guest.finish()

    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no access to /dev/kvm")
    arguments = "region=32 set=8 rate=16"
    guest = play(
        running(
            Guest(tmp_path), Architecture.X86_64, arguments, smp=smp, accelerator=Accelerator.KVM
        ),
        scene,
    )
    assert SUBTESTS[1] in guest.failures
    assert set(guest.passes) == set(SUBTESTS) - {SUBTESTS[1]}
