"""The net-integrity guest on real QEMU: it passes when nothing is touched, and sees what is.

Over hops it is in tests/migration/test_net_over_hops.py.
"""

import asyncio
import re
from pathlib import Path

import pytest

from matrix.model import Architecture
from tests.guests.proving_guest import ProvingGuest, play, running

pytestmark = pytest.mark.qemu

NONE_LOST = "frames: no more are lost at a time than were under way"
SUBTESTS = [
    "they take version 1",
    "they have queues",
    "memory is filled",
    "frames: each is as it was sent",
    "frames: none comes twice, out of order, or unsent",
    NONE_LOST,
    "queue: every frame is taken",
]
BEAT = re.compile(
    r"INTEGRITY: BEAT n=(?P<n>\d+) clock=\d+ gap=\d+ verified=\d+ passes=0 "
    r"requests=(?P<requests>\d+) inflight=(?P<inflight>\d+) lost=(?P<lost>\d+)"
)


class NetGuest(ProvingGuest):
    """A running net-integrity guest."""

    name = "net-integrity"
    beat_line = BEAT


@pytest.mark.parametrize("architecture", Architecture)
def test_a_network_that_nobody_touches_is_proven_whole(
    tmp_path: Path, architecture: Architecture
) -> None:
    async def scene(guest: NetGuest) -> None:
        await guest.beat()
        await guest.beat()
        await guest.finish()

    guest = play(running(NetGuest(tmp_path), architecture), scene)
    assert (guest.said("PASS"), guest.said("FAIL")) == (SUBTESTS, [])
    first, *_, last = guest.matching(BEAT)
    assert last["requests"] > first["requests"]
    assert all(beat["inflight"] <= 8 and not beat["lost"] for beat in guest.matching(BEAT))


def test_frames_that_are_lost_while_it_runs_are_found(tmp_path: Path) -> None:
    """A link that is down loses more than were under way at any moment."""

    async def scene(guest: NetGuest) -> None:
        await guest.beat()
        monitor = guest.session.monitor
        assert monitor is not None
        await monitor.execute("set_link", {"name": "b", "up": False})
        received = (await guest.beat())["requests"]
        while (await guest.beat())["requests"] != received:
            received = guest.matching(BEAT)[-1]["requests"]
        await guest.beat()
        await monitor.execute("set_link", {"name": "b", "up": True})
        await guest.until(lambda: guest.said("FAIL"))
        await guest.finish()

    guest = play(running(NetGuest(tmp_path)), scene)
    first, *others = guest.said("FAIL")
    assert re.fullmatch(r"frame \d+ is lost, with more behind it than were under way", first)
    assert others[-1] == NONE_LOST
    assert set(SUBTESTS) - set(guest.said("PASS")) == {NONE_LOST}


@pytest.mark.parametrize("word", ["depths=1", "depth=0", "depth=17", "ram=x"])
def test_words_that_it_does_not_know_are_a_failure(tmp_path: Path, word: str) -> None:
    async def scene(guest: NetGuest) -> None:
        async with asyncio.timeout(200):
            await guest.session.ended

    (failure,) = play(running(NetGuest(tmp_path), arguments=word), scene).said("FAIL")
    assert "expected" in failure
