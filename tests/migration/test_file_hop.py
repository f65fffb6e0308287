"""Hops through a file that a destination does not take in: what is said of them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from matrix.migrating import HopOutcome, Migration, Strategy
from matrix.migration.endpoint import Emulator
from matrix.migration.hop_runner import Request
from tests.migration.conftest import Chains

FAILED = ["event", "MIGRATION", {"status": "failed"}]
ACTIVE = ["event", "MIGRATION", {"status": "active"}]
COMPLETED = ["event", "MIGRATION", {"status": "completed"}]
RESUME = ["event", "RESUME"]
SAVED = {"query-migrate": {"status": "completed", "total-time": 3}}
FOREVER = ["serve", None]
REFUSES = ["stderr", "qemu: a queue is too long\n"]


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ([["serve", 0.1], ["exit", 1]], "the destination ended: QEMU exited with status 1: a que"),
        ([FOREVER], "the destination has not taken it in: it does not say why"),
    ],
)
def test_a_destination_that_fails(
    chains: Chains,
    make_fake: Callable[..., Emulator],
    once: Migration,
    then: list[list[object]],
    said: str,
) -> None:
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate-incoming": [REFUSES, FAILED]},
        "after": {"migrate-incoming": then},
        "replies": SAVED,
    }
    through_a_file = replace(once, strategies=(Strategy.FILE,))
    chains.run(Request(through_a_file, make_fake(**script)), stop_after=1)
    (hop,) = chains.hops
    assert hop.outcome is HopOutcome.FAILED
    assert said in hop.reason
    assert "not over within" not in hop.reason


def test_a_guest_that_runs_there_when_its_time_is_over_does_not_go_back(
    chains: Chains, make_fake: Callable[..., Emulator], once: Migration
) -> None:
    """It would do twice what it has done there."""
    source = make_fake(cont=[["stdout", "begin\n"], FOREVER], replies=SAVED)
    late = {"migrate-incoming": [ACTIVE], "query-migrate": [RESUME, COMPLETED]}
    destination = replace(make_fake(before=late), name="late")
    through_a_file = replace(once, strategies=(Strategy.FILE,))
    request = Request(through_a_file, source, (destination,), hop_seconds=0.5)
    result = chains.run(request, stop_after=1)
    (hop,) = chains.hops
    assert hop.outcome is HopOutcome.LOST
    assert "not over within 0.5 s; by then the destination ran the guest" in hop.reason
    assert result.summary.bad == 1
    commands = (chains.folder / "qmp.jsonl").read_text()
    assert commands.count('"cont"') == 1
