"""Guests whose disk is not QEMU's, under real QEMU: what their backend gets wrong is named."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from matrix.attempt import ChainResult
from matrix.migrating import Migration, MigrationMode, Strategy
from matrix.plan.disks import disk_size, with_disk
from matrix.vhost_user.vhost_device import Device
from matrix.vhost_user.vhost_disk import READ, Disk
from matrix.vhost_user.vhost_messages import Message
from matrix.vhost_user.vhost_ring import Chain
from matrix.vm.machine import Limits
from tests.migration.conftest import Chains, RealQemu
from tests.vhost_user.served import served

pytestmark = pytest.mark.qemu

TEST = "disk-integrity-vhost-user"
LIMITS = Limits(timeout=200, stall=60, start=60)
DONE = b"PASS: disk-integrity: requests: each is answered once, and done"
Kind = Callable[[socket.socket, Disk, float], Device]
Run = Callable[..., ChainResult]


class Forgetful(Device):
    """Takes a read and does it only when its ring is stopped, during a hop: without a word in the
    log. It must have been taken before, so that its pages have been sent as they were."""

    dropped: ClassVar[list[Chain]] = []

    def __init__(self, connection: socket.socket, disk: Disk, pace: float) -> None:
        super().__init__(connection, disk, pace)
        self._kept: Chain | None = None
        self._served = 0

    def finish(self, chain: Chain, written: int) -> None:
        self._served += 1
        head = self.memory.at(chain.read[0][0], 4).cast("I")[0]
        if self._served > AFTER and head == READ and not self.dropped and not self._kept:
            self._kept = chain
            # As if it had never been read: what the guest had put there.
            for (address, _), before in zip(chain.written, self._before, strict=True):
                self.memory.at(address, len(before))[:] = before
            return
        super().finish(chain, written)

    def serve(self, chain: Chain) -> int:
        self._before = [bytes(self.memory.at(address, size)) for address, size in chain.written]
        return super().serve(chain)

    def stop(self, message: Message) -> bytes:
        if self._kept is not None and self.memory.logging:
            self.dropped.append(self._kept)
            self.memory.logging = False
            written = super().serve(self._kept)
            self.memory.logging = True
            super().finish(self._kept, written)
        return super().stop(message)


class Stuttering(Device):
    """Gives one request back twice while its guest is migrated."""

    def finish(self, chain: Chain, written: int) -> None:
        super().finish(chain, written)
        if self.memory.logging and not DOUBLED:
            DOUBLED.append(chain.number)
            super().finish(chain, written)


DOUBLED: list[int] = []
AFTER = 66
"""Requests: a few more than a guest makes to fill its disk."""


@pytest.fixture
def run(chains: Chains, real: RealQemu, tmp_path: Path) -> Iterator[Run]:
    """A guest that is migrated twice, its disk served by such a device."""
    Forgetful.dropped.clear()
    DOUBLED.clear()
    with ExitStack() as stack:

        def run_it(kind: Kind, strategy: Strategy, words: str = "") -> ChainResult:
            size = disk_size(real.test(TEST).qemu_params)
            place = stack.enter_context(served(tmp_path, size, kind))
            mode = MigrationMode.CONTINUOUS
            migration = Migration(mode=mode, strategies=(strategy,), hops=2, pace=0.4)
            request = real.request(TEST, migration)
            launch = with_disk(request.source.launch, str(place))
            argv = [f"{each}{words}" if each.startswith("disk-") else each for each in launch.argv]
            source = replace(request.source, launch=replace(launch, argv=tuple(argv)))
            return chains.run(replace(request, source=source, proves=True), LIMITS)

        yield run_it


@pytest.mark.parametrize("strategy", [Strategy.PRECOPY, Strategy.FILE])
def test_the_queue_goes_along(chains: Chains, run: Run, strategy: Strategy) -> None:
    result = run(Device, strategy)
    assert (result.bad, result.summary.completed) == ((), 2)
    assert b"FAIL" not in chains.console
    assert DONE in chains.console
    _, hop = chains.hops
    assert hop.in_flight is not None
    assert 1 <= hop.in_flight <= 8


def test_a_page_that_is_not_logged_is_named(chains: Chains, run: Run) -> None:
    run(Forgetful, Strategy.PRECOPY, " depth=1")
    assert len(Forgetful.dropped) == 1
    assert DONE not in chains.console
    found = re.search(
        rb"FAIL: disk-integrity: request \d+ \(read of sectors? [\d to]+\): "
        rb"the disk answers with status 255 instead of 0",
        chains.console,
    )
    assert found, chains.console[-2000:]


def test_a_request_that_is_answered_twice_is_named(chains: Chains, run: Run) -> None:
    run(Stuttering, Strategy.PRECOPY)
    assert DOUBLED
    assert DONE not in chains.console
    found = re.search(
        rb"FAIL: disk-integrity: (an answer .*|request \d+ \(.*\): the disk answers .*)",
        chains.console,
    )
    assert found, chains.console[-2000:]
