"""Guests with two network devices under real QEMU: their queues go along."""

import re

import pytest

from matrix.migrating import Migration, MigrationMode, Strategy
from matrix.model import Architecture
from matrix.vm.machine import Limits
from tests.migration.conftest import Chains, RealQemu

pytestmark = pytest.mark.qemu


@pytest.mark.parametrize(
    ("architecture", "strategy"),
    [
        (Architecture.X86_64, Strategy.POSTCOPY),
        (Architecture.AARCH64, Strategy.PRECOPY),
        (Architecture.RISCV64, Strategy.MULTIFD),
    ],
)
def test_frames_go_along(
    chains: Chains, real: RealQemu, architecture: Architecture, strategy: Strategy
) -> None:
    migration = Migration(mode=MigrationMode.CONTINUOUS, strategies=(strategy,), hops=2, pace=0.15)
    request = real.request("net-integrity", migration, architecture=architecture)
    result = chains.run(request, Limits(timeout=200, stall=60, start=60))
    assert (result.bad, result.summary.completed) == ((), 2)
    assert b"FAIL" not in chains.console
    said = re.search(rb"(\d+) frames sent, (\d+) received, (\d+) lost", chains.console)
    assert said is not None
    sent, received, lost = map(int, said.groups())
    assert sent == received + lost
    _, hop = chains.hops  # before the first one there need not have been a beat
    assert hop.requests
    assert hop.in_flight is not None
    assert hop.in_flight <= 8
