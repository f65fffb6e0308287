"""The elastic-integrity guest on real QEMU: it lends and takes back, and sees what is wrong.

Over hops it is in tests/migration/test_elastic_over_hops.py.
"""

import asyncio
import re
from pathlib import Path

import pytest

from matrix.model import Architecture
from tests.guests.proving_guest import ProvingGuest, play, running
from tests.migration.corrupt import corrupt

pytestmark = pytest.mark.qemu

PAGES = "pages: each is as it was written last"
SUBTESTS = [
    PAGES,
    "pages that came back: zero, or as they were",
    "requests: each is answered once, and done",
    "devices: they say what the ledger says",
    "entropy: no answer is given twice",
]
PAGE = 4096
START = re.compile(
    r"INTEGRITY: START pages=(?P<pages>\d+) base=0x(?P<base>[0-9a-f]+) lendable=(?P<lendable>\d+) "
    r"block=(?P<block>\d+) blocks=(?P<blocks>\d+) depth=(?P<depth>\d+)"
)
BEAT = re.compile(
    r"INTEGRITY: BEAT n=(?P<n>\d+) clock=\d+ gap=\d+ verified=\d+ passes=\d+ "
    r"requests=(?P<requests>\d+) inflight=(?P<inflight>\d+) balloon=(?P<balloon>\d+) "
    r"plugged=(?P<plugged>\d+) busy=(?P<busy>\d+)"
)


class ElasticGuest(ProvingGuest):
    """A running elastic-integrity guest."""

    name = "elastic-integrity"
    beat_line = BEAT

    async def start(self) -> dict[str, int]:
        """Wait for START; what it says."""
        await self.until(lambda: self.matching(START))
        return self.matching(START)[0]

    async def ask(self, command: str, **arguments: object) -> object:
        assert self.session.monitor is not None
        return await self.session.monitor.execute(command, arguments)

    async def balloon(self, pages: int) -> None:
        """Ask it for so many pages; return when it has lent them."""
        memory = await self.ask("query-memory-size-summary")
        assert isinstance(memory, dict)
        await self.ask("balloon", value=memory["base-memory"] - pages * PAGE)
        while (await self.beat())["balloon"] != pages:
            pass
        assert await self.ask("query-balloon") == {"actual": memory["base-memory"] - pages * PAGE}


@pytest.mark.parametrize("architecture", Architecture)
def test_what_it_lends_comes_back(tmp_path: Path, architecture: Architecture) -> None:
    async def scene(guest: ElasticGuest) -> None:
        lendable = (await guest.start())["lendable"]
        await guest.balloon(lendable // 8)
        await guest.balloon(lendable // 16)
        await guest.finish()

    guest = play(running(ElasticGuest(tmp_path), architecture, "region=2"), scene)
    assert guest.said("PASS")[-len(SUBTESTS) :] == SUBTESTS
    assert guest.said("FAIL") == []
    last = guest.matching(BEAT)[-1]
    assert last["requests"]
    assert 1 <= last["inflight"] <= 13  # 8 for entropy, 4 of the balloon, and one about blocks


@pytest.mark.parametrize("architecture", [Architecture.X86_64, Architecture.AARCH64])
def test_blocks_come_and_go(tmp_path: Path, architecture: Architecture) -> None:
    async def scene(guest: ElasticGuest) -> None:
        block = (await guest.start())["block"]
        for blocks in (3, 1):
            size = blocks * block
            path, name = "/machine/peripheral/blocks", "requested-size"
            await guest.ask("qom-set", path=path, property=name, value=size)
            while (await guest.beat())["plugged"] != size:
                pass
            assert await guest.ask("qom-get", path=path, property="size") == size
        await guest.finish()

    guest = play(running(ElasticGuest(tmp_path), architecture, "region=2"), scene)
    assert (guest.said("PASS")[-len(SUBTESTS) :], guest.said("FAIL")) == (SUBTESTS, [])
    assert "blocks: it takes version 1" in guest.said("PASS")


def test_a_byte_that_changes_is_found(tmp_path: Path) -> None:
    async def scene(guest: ElasticGuest) -> None:
        started = await guest.start()
        assert guest.session.monitor is not None
        address = started["base"] + 5 * PAGE + 24
        await corrupt(guest.session.monitor, address, directory=guest.directory)
        await guest.until(lambda: guest.said("FAIL"))
        await guest.finish()

    guest = play(running(ElasticGuest(tmp_path), Architecture.I386, "region=2"), scene)
    first, *others = guest.said("FAIL")
    assert re.match(r"page 5 at 0x[0-9a-f]+ \(held, epoch \d+\): the word at byte 24 is ", first)
    assert "1 of 512 words differ" in first
    assert others == [PAGES]


@pytest.mark.parametrize("word", ["depths=1", "depth=0", "depth=9", "region=33", "seconds=x"])
def test_words_that_it_does_not_know_are_a_failure(tmp_path: Path, word: str) -> None:
    async def scene(guest: ElasticGuest) -> None:
        async with asyncio.timeout(200):
            await guest.session.ended

    (failure,) = play(running(ElasticGuest(tmp_path), arguments=word), scene).said("FAIL")
    assert "expected" in failure
