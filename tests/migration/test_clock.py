"""Steps of the host's clock, and suspends: noted, and never the guest's fault."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.migrating import HopOutcome, Limits, Migration
from matrix.migration.clock import HostClock
from matrix.migration.endpoint import Emulator
from matrix.migration.hop_runner import Request
from matrix.migration.statistics import Statistics
from tests.migration.conftest import Chains

MakeFake = Callable[..., Emulator]
HOUR = 3600.0


class Clocks:
    """All three, which a test sets."""

    def __init__(self) -> None:
        self.wall, self.monotonic, self.boottime = 1_800_000_000.0, 50.0, 70.0

    def clock(self) -> HostClock:
        return HostClock(lambda: self.wall, lambda: self.monotonic, lambda: self.boottime)

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds
        self.boottime += seconds

    def sleep(self, seconds: float) -> None:
        self.wall += seconds
        self.boottime += seconds


@pytest.mark.parametrize("step", [HOUR, -HOUR, 0.3])
def test_a_step_is_noticed_and_taken_off(step: float) -> None:
    clocks = Clocks()
    clock = clocks.clock()
    since = clock.read()
    clocks.wait(2)
    before = clock.even(clocks.wall)
    clocks.wall += step
    clocks.wait(3)
    assert clock.even(clocks.wall) - before == pytest.approx(3)
    assert clock.time() == pytest.approx(before + 3)
    assert clock.steps(since) == pytest.approx((step, 0))
    assert clock.steps(clock.read()) == (0, 0)


def test_a_stamp_of_before_the_step_is_of_now() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    stamp = clocks.wall
    clocks.wall += HOUR
    clocks.wait(0.1)
    assert clock.even(stamp) == clock.time()


def test_a_suspend_is_none_of_the_guests_time() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    since = clock.read()
    before = clock.time()
    clocks.sleep(HOUR)
    clocks.wait(1)
    assert clock.time() - before == pytest.approx(1)
    assert clock.steps(since) == (0, HOUR)


def test_what_ntp_slews_is_no_step() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    since = clock.read()
    clocks.wait(60)
    clocks.wall += 0.03
    assert clock.steps(since) == (0, 0)


def test_a_hop_during_which_the_clock_is_set(
    chains: Chains, make_fake: MakeFake, once: Migration, tmp_path: Path
) -> None:
    """Whichever comes first, the step or an event's stamp, nothing measured is off by an hour."""
    path = tmp_path / "ahead"
    migration = ["event", "MIGRATION", {"status": "active"}]
    completed = ["event", "MIGRATION", {"status": "completed"}]
    begin = "INTEGRITY: START vcpus=1\nINTEGRITY: BEAT n=1 clock=1 gap=1\n"
    script = {
        "cont": [["stdout", begin], ["serve", None]],
        "before": {
            "migrate": [migration, ["event", "STOP"], ["clock", str(path), HOUR], completed],
            "migrate-incoming": [
                ["clock", str(path), HOUR],
                ["event", "RESUME"],
                ["state", "running"],
                completed,
            ],
        },
        "after": {
            "migrate-incoming": [["stdout", "INTEGRITY: BEAT n=2 clock=2 gap=1\n"], ["serve", None]]
        },
    }

    def wall() -> float:
        return time.time() + float(path.read_text() or "0" if path.exists() else "0")

    limited = replace(once, limits=Limits(clock_jump=HOUR / 2))
    request = Request(limited, make_fake(**script), clock=HostClock(wall=wall), proves=True)
    result = chains.run(request, stop_after=1)
    assert (result.bad, result.summary.broken) == ((), ())
    hop = chains.hops[0]
    assert hop.outcome is HopOutcome.COMPLETED
    for measured in (hop.clock_jump, hop.silence, hop.stop_to_resume):
        assert measured is not None
        assert abs(measured) < HOUR / 2
    assert hop.clock_step == pytest.approx(HOUR, abs=1)
    assert any(event.what.startswith("the host's clock was set by +") for event in hop.events)
    assert all(abs(event.at) < HOUR / 2 for event in hop.events)

    statistics = Statistics(Limits(downtime_max=1e-6))
    statistics.add(replace(hop, suspended=HOUR))
    assert statistics.summary(1, 60.0).broken == ()
