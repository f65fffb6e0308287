"""Guests that lend memory under real QEMU: what they have lent is known on the other side."""

import re

import pytest

from matrix.migrating import Migration, MigrationMode, Strategy
from matrix.model import Architecture
from matrix.vm.machine import Limits
from tests.migration.conftest import Chains, RealQemu

pytestmark = pytest.mark.qemu

WITH_BLOCKS = (Architecture.X86_64, Architecture.AARCH64)


@pytest.mark.parametrize(
    ("architecture", "strategy"),
    [
        (Architecture.X86_64, Strategy.POSTCOPY),
        (Architecture.AARCH64, Strategy.PRECOPY),
        (Architecture.RISCV64, Strategy.MULTIFD),
        (Architecture.S390X, Strategy.XBZRLE),
    ],
)
def test_what_is_lent_goes_along(
    chains: Chains, real: RealQemu, architecture: Architecture, strategy: Strategy
) -> None:
    migration = Migration(mode=MigrationMode.CONTINUOUS, strategies=(strategy,), hops=2, pace=0.15)
    request = real.request("elastic-integrity", migration, architecture=architecture)
    result = chains.run(request, Limits(timeout=200, stall=60, start=60))
    assert (result.bad, result.summary.completed) == ((), 2)
    assert b"FAIL" not in chains.console
    first, second = chains.hops
    for hop in (first, second):
        asked = [event.what for event in hop.events if event.what.startswith("the guest is asked")]
        assert len(asked) >= 2, hop.events
        assert (" of its blocks" in asked[0]) == (architecture in WITH_BLOCKS)
    # The balloon had to be as the second hop asked for last, or it were a bad one.
    last = re.findall(rb"BEAT .* balloon=(\d+) ", chains.console)[-1]
    assert f"asked for {int(last)} pages" in asked[-1]
    assert second.in_flight is not None
    assert second.in_flight >= 1
