"""How a hop with a fault is judged, with fake QEMUs that do what real ones rarely do."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.attempt import ChainResult
from matrix.migrating import Fault, HopOutcome, Migration, MigrationMode, Strategy, Transport
from matrix.migration.endpoint import Emulator
from matrix.migration.faults.changing import FAST
from matrix.migration.faults.injectors import injector_for
from matrix.migration.hop_runner import Request
from matrix.vm.machine import Limits
from tests.migration.conftest import Chains

MakeFake = Callable[..., Emulator]

FOREVER = ["serve", None]
SETUP, ACTIVE, COMPLETED, CANCELLED, FAILED = (
    ["event", "MIGRATION", {"status": status}]
    for status in ("setup", "active", "completed", "cancelled", "failed")
)

STOP, RESUME = ["event", "STOP"], ["event", "RESUME"]
RUNS = {"cont": [["stdout", "begin\n"], FOREVER]}


def run(chains: Chains, emulator: Emulator, fault: Fault) -> ChainResult:
    migration = Migration(
        mode=MigrationMode.ONCE, transports=(Transport.UNIX,), faults=(fault,), pace=0.0
    )
    limits = Limits(timeout=100, stall=60, start=60)
    result: ChainResult = chains.run(
        Request(migration, emulator, injectors=injector_for), limits, stop_after=1
    )
    return result


def test_a_hop_that_ends_as_it_must_is_good(chains: Chains, make_fake: MakeFake) -> None:
    script = {
        **RUNS,
        "before": {"migrate": [SETUP, ACTIVE], "migrate-incoming": [SETUP]},
        "after": {"migrate_cancel": [CANCELLED]},
        "replies": {"query-migrate": {"status": "cancelled"}},
    }
    result = run(chains, make_fake(**script), Fault.CANCEL_IN_ACTIVE)
    hop = chains.hops[0]
    assert (hop.outcome, hop.good, hop.fault) == (
        HopOutcome.CANCELLED,
        True,
        Fault.CANCEL_IN_ACTIVE,
    )
    assert "migrate_cancel in active" in [event.what for event in hop.events]
    assert result.summary.as_expected == 1


@pytest.mark.parametrize("strategy", [Strategy.PRECOPY, Strategy.POSTCOPY])
def test_a_paused_guest_arrives_paused_but_in_postcopy(
    chains: Chains, make_fake: MakeFake, tmp_path: Path, strategy: Strategy
) -> None:
    """The source completes once the destination was asked whether it runs."""
    in_postcopy = strategy is Strategy.POSTCOPY
    postcopy = [["event", "MIGRATION", {"status": "postcopy-active"}]] if in_postcopy else []
    asked = str(tmp_path / "asked")
    source = make_fake(
        **RUNS,
        replies={"query-migrate-parameters": {"max-bandwidth": FAST, "downtime-limit": 300}},
        before={"migrate": [SETUP, ACTIVE]},
        after={"stop": [["take over", asked], *postcopy, COMPLETED]},
    )
    arrives = [SETUP, ACTIVE, *postcopy, RESUME, ["state", "running"], COMPLETED]
    destination = make_fake(
        **RUNS,
        before={"migrate-incoming": arrives},
        after={"query-status": [["pass on", asked], ["state", "running"]]},
    )
    migration = Migration(
        mode=MigrationMode.ONCE, strategies=(strategy,), faults=(Fault.PAUSE_SOURCE,), pace=0.0
    )
    others = (replace(destination, name="other"),)
    chains.run(Request(migration, source, others, injectors=injector_for), stop_after=1)
    hop = chains.hops[0]
    assert hop.outcome is HopOutcome.COMPLETED
    assert hop.good is in_postcopy
    assert ("the destination runs a guest that was paused" in hop.reason) is not in_postcopy


@pytest.mark.parametrize(("version", "channels"), [([7, 2, 22], 1), ([10, 0, 0], 2)])
def test_a_source_that_would_hang_has_one_channel_to_lose(
    chains: Chains, make_fake: MakeFake, version: list[int], channels: int
) -> None:
    migration = Migration(
        mode=MigrationMode.ONCE,
        strategies=(Strategy.MULTIFD,),
        transports=(Transport.UNIX,),
        faults=(Fault.KILL_DESTINATION_IN_ACTIVE,),
        pace=0.0,
    )
    known = {"max-bandwidth": 1 << 27, "downtime-limit": 300, "multifd-channels": 2}
    replies = {"query-migrate-parameters": known}
    emulator = make_fake(**RUNS, version=version, replies=replies)
    limits = Limits(timeout=100, stall=60, start=60)
    chains.run(Request(migration, emulator, injectors=injector_for), limits, stop_after=1)
    transcript = (chains.folder / "qmp.jsonl").read_text().splitlines()
    messages = [json.loads(line).get("message", {}) for line in transcript]
    asked = [
        each["arguments"].get("multifd-channels")
        for each in messages
        if each.get("execute") == "migrate-set-parameters"
    ]
    # On a busy host the hop that follows the fault may have been set up before the chain ends.
    assert asked[:2] == [channels] * 2


def test_a_hop_that_is_over_before_the_fault_is_bad(chains: Chains, make_fake: MakeFake) -> None:
    run(chains, make_fake(**RUNS), Fault.CANCEL_IN_PRE_SWITCHOVER)
    hop = chains.hops[0]
    assert not hop.good
    assert hop.reason == "cancel-in-pre-switchover could not be injected: the hop completed before"


def test_a_cancelled_hop_that_completes_is_bad(chains: Chains, make_fake: MakeFake) -> None:
    script = {
        **RUNS,
        "before": {"migrate": [SETUP, ACTIVE]},
        "after": {"migrate_cancel": [STOP, COMPLETED]},
    }
    run(chains, make_fake(**script), Fault.CANCEL_IN_ACTIVE)
    hop = chains.hops[0]
    assert not hop.good
    assert "must end as cancelled or failed, and is completed" in hop.reason


def test_a_destination_that_runs_what_failed_is_seen(chains: Chains, make_fake: MakeFake) -> None:
    """Both run the guest: the worst that a migration can do."""
    script = {
        **RUNS,
        "before": {
            "migrate": [SETUP, ACTIVE],
            "migrate-incoming": [SETUP, ACTIVE, ["state", "running"]],
        },
        "after": {"migrate_cancel": [["state", "running"], CANCELLED]},
    }
    run(chains, make_fake(**script), Fault.CANCEL_IN_ACTIVE)
    hop = chains.hops[0]
    assert not hop.good
    assert "source and destination both run the guest" in hop.reason


@pytest.mark.parametrize("fault", [Fault.NO_LISTENER, Fault.UUID_MISMATCH])
def test_what_qemu_says_must_be_of_the_fault(
    chains: Chains, make_fake: MakeFake, fault: Fault
) -> None:
    script = {
        **RUNS,
        "before": {"migrate": [SETUP, FAILED], "migrate-incoming": [SETUP]},
        "replies": {"query-migrate": {"status": "failed", "error-desc": "the moon is full"}},
    }
    run(chains, make_fake(**script), fault)
    hop = chains.hops[0]
    assert (hop.outcome, hop.good) == (HopOutcome.FAILED, False)
    assert "QEMU must say" in hop.reason
    assert "the moon is full" in hop.reason


def test_a_destination_that_dies_having_completed_is_a_loss_and_bad(
    chains: Chains, make_fake: MakeFake
) -> None:
    """Between its completed and RESUME: the source has let go of the guest already."""
    emulator = make_fake(
        **RUNS,
        before={
            "migrate": [SETUP, ACTIVE, STOP, COMPLETED],
            "migrate-incoming": [SETUP, ACTIVE, COMPLETED],
        },
        after={"migrate-incoming": [["exit", 1]]},
    )
    result = run(chains, emulator, Fault.CANCEL_IN_COMPLETED)
    hop = chains.hops[0]
    assert (hop.outcome, hop.good) == (HopOutcome.LOST, False)
    assert result.lost
    assert not result.lost_as_expected
