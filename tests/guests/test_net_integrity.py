"""The net-integrity guest on real QEMU: it passes when nothing is touched, and sees what is.

Over hops it is in tests/migration/test_net_over_hops.py.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.hosts.binary_probe import probe_binary
from matrix.model import Accelerator, Architecture, Case, Variant
from matrix.plan.command import launch_for
from matrix.suites.build import builtin_build
from tests.guests.test_disk_integrity import WITH_PCI
from tests.guests.test_ram_integrity import Guest, integrity_test

pytestmark = pytest.mark.qemu

PREFIX = "net-integrity: "
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


class NetGuest(Guest):
    """A running net-integrity guest."""

    def said(self, verdict: str) -> list[str]:
        """The subtests of that verdict."""
        begin = f"{verdict}: {PREFIX}"
        return [line.removeprefix(begin) for line in self.lines if line.startswith(begin)]

    async def beat(self) -> dict[str, int]:
        """Wait for one more beat."""
        already = len(self.matching(BEAT))
        await self.until(lambda: len(self.matching(BEAT)) > already)
        return self.matching(BEAT)[-1]


@asynccontextmanager
async def running(
    directory: Path, architecture: Architecture = Architecture.X86_64, arguments: str = ""
) -> AsyncIterator[NetGuest]:
    """The guest, started as a case starts it; QEMU is gone when this is left."""
    path = shutil.which(f"qemu-system-{architecture.value}")
    if path is None:
        pytest.skip(f"qemu-system-{architecture.value} is not installed")
    probed = await probe_binary("system", architecture, Path(path))
    test = integrity_test(architecture, "net-integrity")
    if arguments:
        test = replace(test, arguments=f"net-integrity {arguments}")
    variant, build = Variant(arch=architecture), builtin_build(architecture)
    case = Case("net", "net", "kvm-unit-tests", test, variant, build)
    guest = NetGuest(directory)
    async with guest.processes:
        guest.session = await guest.processes.start(
            launch_for(case, probed.binary, Accelerator.TCG)
        )
        assert await guest.session.boot(200) is None
        yield guest


def play(
    guest: AbstractAsyncContextManager[NetGuest], scene: Callable[[NetGuest], Awaitable[None]]
) -> NetGuest:
    async def run() -> NetGuest:
        async with guest as actor:
            await scene(actor)
            return actor

    return asyncio.run(run())


@pytest.mark.parametrize("architecture", WITH_PCI)
def test_a_network_that_nobody_touches_is_proven_whole(
    tmp_path: Path, architecture: Architecture
) -> None:
    async def scene(guest: NetGuest) -> None:
        await guest.beat()
        await guest.beat()
        await guest.finish()

    guest = play(running(tmp_path, architecture), scene)
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

    guest = play(running(tmp_path), scene)
    first, *others = guest.said("FAIL")
    assert re.fullmatch(r"frame \d+ is lost, with more behind it than were under way", first)
    assert others[-1] == NONE_LOST
    assert set(SUBTESTS) - set(guest.said("PASS")) == {NONE_LOST}


@pytest.mark.parametrize("word", ["depths=1", "depth=0", "depth=17", "ram=x"])
def test_words_that_it_does_not_know_are_a_failure(tmp_path: Path, word: str) -> None:
    async def scene(guest: NetGuest) -> None:
        async with asyncio.timeout(200):
            await guest.session.ended

    (failure,) = play(running(tmp_path, arguments=word), scene).said("FAIL")
    assert "expected" in failure
