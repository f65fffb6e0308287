"""Chains of fake QEMUs: who runs the guest in the end, and what is said of each hop."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.attempt import ChainResult, Ending
from matrix.migrating import Fault, Hop, HopOutcome, Migration, MigrationMode
from matrix.migrating import Limits as HopLimits
from matrix.migration import hop as hop_module
from matrix.migration.chain import run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.folding import HOPS_FILE
from matrix.migration.hop_runner import Request
from matrix.migration.live_hop import Injector, LiveHop
from matrix.vm.machine import Limits
from tests.migration.conftest import Chains

MakeFake = Callable[..., Emulator]

FOREVER = ["serve", None]
"""A guest that runs until its QEMU is ended."""
LEAVE = [["stdout", "SUMMARY: 1 tests\n"], ["exit", 1]]
"""A guest that comes to its end."""
FOR_A_WHILE = ["serve", 3.0]
"""A guest that runs for much longer than what is done to it takes."""
FAILED = ["event", "MIGRATION", {"status": "failed"}]
ACTIVE = ["event", "MIGRATION", {"status": "active"}]
STOP = ["event", "STOP"]


def ends_on_the_destination(**more: Any) -> dict[str, Any]:
    return {
        "cont": [["stdout", "begin\n"], FOREVER],
        "after": {"migrate-incoming": [FOR_A_WHILE, *LEAVE]},
        **more,
    }


def test_a_hop_and_the_guests_end_on_the_destination(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    result: ChainResult = chains.run(Request(once, make_fake(**ends_on_the_destination())))
    assert (result.outcome.ending, result.outcome.exit_status) == (Ending.EXITED, 1)
    assert (result.summary.hops, result.summary.completed, result.summary.bad) == (1, 1, 0)
    assert result.bad == ()
    assert chains.console == b"begin\nSUMMARY: 1 tests\n"
    assert (chains.folder / "console.log").read_bytes() == chains.console
    hop: Hop = chains.hops[0]
    assert hop.outcome is HopOutcome.COMPLETED
    assert hop.good
    assert (hop.total_time, hop.downtime, hop.transferred, hop.passes) == (0.02, 0.003, 1000, 2)
    assert [(event.side, event.what) for event in hop.events if event.side == "source"] == [
        ("source", "MIGRATION setup"),
        ("source", "MIGRATION active"),
        ("source", "STOP"),
        ("source", "MIGRATION completed"),
    ]
    assert hop.stop_to_resume is not None


def test_a_guest_that_proves_its_memory_is_asked_for_a_beat_after_the_hop(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    """One that beats when it is asked to, and never by the clock."""
    beat = "INTEGRITY: BEAT n=%d clock=%d gap=1\n"
    begin = "INTEGRITY: START vcpus=1\n" + beat % (1, 1)
    script = {
        "cont": [["stdout", begin], FOREVER],
        "after": {"migrate-incoming": [["key", "\n"], ["stdout", beat % (2, 2)], FOREVER]},
    }
    request = Request(once, make_fake(**script), proves=True)
    result = chains.run(request, stop_after=1)
    assert result.bad == ()
    assert chains.hops[0].silence is not None


def test_what_a_new_process_is_asked_is_sent_at_once(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    """And one that is told to quit is told nothing after that, though it says that it ends."""
    shutdown = ["event", "SHUTDOWN", {"guest": False, "reason": "host-qmp-quit"}]
    script = {"cont": [["stdout", "begin\n"], FOREVER], "before": {"quit": [shutdown]}}
    chains.run(Request(once, make_fake(**script)), stop_after=1)
    lines = (chains.folder / "qmp.jsonl").read_text().splitlines()
    messages = [each["message"] for each in map(json.loads, lines) if each["process"] == "qemu-1"]
    told = [message.get("execute", "<") for message in messages]
    first = told.index("set-action")
    asked = {"qom-get", "query-memory-size-summary", "query-cpus-fast", "set-action"}
    assert asked <= {*told[first : told.index("<", first)]}
    assert "migrate_cancel" not in told


def test_as_many_hops_as_asked_for(chains: Chains, make_fake: MakeFake) -> None:
    migration = Migration(mode=MigrationMode.CONTINUOUS, hops=3, pace=0.0)
    script = ends_on_the_destination(after={})
    result = chains.run(Request(migration, make_fake(**script)), stop_after=3, linger=1.0)
    assert result.outcome.ending is Ending.INTERRUPTED
    assert [hop.number for hop in chains.hops] == [1, 2, 3]
    assert result.summary.completed == 3


def test_a_source_that_fails_keeps_the_guest(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    refused = {"status": "failed", "error-desc": "no such luck"}
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [ACTIVE, FAILED], "migrate-incoming": []},
        "replies": {"query-migrate": refused},
        "after": {"query-migrate": [FOR_A_WHILE, *LEAVE]},
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert result.bad == ("hop 1: the hop failed: no such luck (in active)",)
    assert result.outcome.ending is Ending.EXITED
    assert chains.hops[0].outcome is HopOutcome.FAILED
    assert not result.lost


def test_a_source_that_stays_stopped_is_continued(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {
            "migrate": [ACTIVE, STOP, ["state", "paused"], FAILED],
            "migrate-incoming": [],
        },
        "replies": {"query-migrate": {"status": "failed", "error-desc": "too late"}},
    }
    result = chains.run(Request(once, make_fake(**script)), stop_after=1)
    assert chains.hops[0].outcome is HopOutcome.FAILED
    assert ("matrix", "cont") in [(event.side, event.what) for event in chains.hops[0].events]
    assert not result.lost


def test_the_destination_says_why_the_source_sees_a_broken_pipe(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [ACTIVE, FAILED], "migrate-incoming": [ACTIVE]},
        "replies": {"query-migrate": {"status": "failed", "error-desc": "Broken pipe"}},
        "after": {
            "migrate-incoming": [
                ["sleep", 0.2],
                ["stderr", "qemu-system-x: Unknown combination of migration flags: 0x0\n"],
                ["exit", 1],
            ]
        },
    }
    result = chains.run(Request(once, make_fake(**script)), stop_after=1)
    assert chains.hops[0].reason == (
        "the hop failed: Broken pipe; the destination: Unknown combination of migration flags: 0x0"
        "; the destination ended: QEMU exited with status 1 (in active)"
    )
    assert not result.lost


def test_a_guest_that_kvm_gives_up_in_a_hop_is_not_lost_by_it(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [["state", "internal-error"]], "migrate-incoming": []},
        "errors": {"migrate": ["GenericError", "Guest is waiting for a reset"]},
        "after": {"query-status": [["sleep", 0.2], STOP]},  # seen by the hop before the watch
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert result.outcome.ending is Ending.INTERNAL_ERROR
    assert (result.lost, result.bad, chains.hops) == ("", (), [])


DIES = (["stderr", "qemu-system-x: bus error\n"], ["signal", 9])
EXITS = (["stderr", "qemu-system-x: out of luck\n"], ["exit", 3])


@pytest.mark.parametrize(
    ("command", "before", "reason"),
    [
        (
            "migrate-incoming",
            [*DIES],
            "bus error; the destination ended: QEMU was killed by SIGKILL (before it began)",
        ),
        (
            "migrate-incoming",
            [ACTIVE, *EXITS],
            "out of luck; the destination ended: QEMU exited with status 3 (before it began)",
        ),
        ("migrate", [ACTIVE, FAILED], "the hop failed: QEMU says not why (in active)"),
        (
            "migrate",
            [ACTIVE, *DIES],
            "the source ended: QEMU was killed by SIGKILL: bus error (in active)",
        ),
    ],
)
def test_a_bad_hop_says_who_ended_how_and_when(
    chains: Chains,
    make_fake: MakeFake,
    once: Migration,
    command: str,
    before: list[Any],
    reason: str,
) -> None:
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate-incoming": [], command: before},
        "replies": {"query-migrate": {"status": "failed"}},
    }
    result = chains.run(Request(once, make_fake(**script)), stop_after=1)
    assert result.bad[0].endswith(reason)


def test_a_destination_that_does_not_start_is_told_from_the_source(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = {"cont": [["stdout", "begin\n"], FOREVER]}
    other = replace(make_fake(start=[["signal", 9]]), name="other")
    result = chains.run(Request(once, make_fake(**script), (other,)))
    assert result.outcome.reason == (
        "the destination of hop 1: QEMU other 7.2.0 did not start: QEMU was killed by SIGKILL"
    )


def test_a_destination_that_refuses_is_as_a_source_that_refuses(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = {"cont": [["stdout", "begin\n"], FOREVER]}
    refuses = make_fake(start=[["stderr", "qemu: too many CPUs\n"], ["exit", 1]])
    result = chains.run(Request(once, make_fake(**script), (replace(refuses, name="other"),)))
    assert result.outcome.ending is Ending.REFUSED
    assert result.outcome.stderr_tail == ("qemu: too many CPUs",)
    assert (result.refused_by, result.summary.hops) == ("other 7.2.0", 0)
    as_source = chains.run(Request(once, refuses))
    assert as_source.outcome.ending is Ending.REFUSED
    assert as_source.refused_by == ""


def test_a_source_that_dies_loses_the_guest(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [ACTIVE, ["abort"]], "migrate-incoming": []},
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert result.outcome.ending is Ending.KILLED
    assert "killed by SIGABRT" in result.lost
    assert not result.lost_as_expected
    assert chains.hops[0].outcome is HopOutcome.LOST


@pytest.mark.parametrize("side", ["migrate", "migrate-incoming"])
def test_a_side_that_dies_for_want_of_threads_is_the_hosts_trouble(
    chains: Chains, make_fake: MakeFake, once: Migration, side: str
) -> None:
    lacks = [["stderr", "qemu: qemu_thread_create: Resource temporarily unavailable\n"], ["abort"]]
    script = {"cont": [["stdout", "begin\n"], FOREVER], "before": {side: lacks}}
    result = chains.run(Request(once, make_fake(**script)))
    assert result.outcome.ending is Ending.ERROR
    assert "qemu_thread_create: Resource temporarily unavailable" in result.outcome.reason


def test_a_guest_that_ends_during_a_hop_has_ended(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [ACTIVE, *LEAVE], "migrate-incoming": []},
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert (result.outcome.ending, result.outcome.exit_status) == (Ending.EXITED, 1)
    assert (result.summary.hops, result.bad, result.lost) == (0, (), "")


def test_a_guest_that_had_shut_down_is_not_lost_with_its_qemu(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    shutdown = ["event", "SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}]
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [shutdown, ["abort"]], "migrate-incoming": []},
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert result.outcome.ending is Ending.KILLED
    assert (result.summary.hops, result.bad, result.lost) == (0, (), "")


def test_a_qemu_whose_guest_is_over_gives_its_migration_up_before_it_exits(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "replies": {"query-yank": [{"type": "migration"}]},
        "before": {
            "migrate": [ACTIVE, ["event", "SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}]],
            "migrate-incoming": [],
            "migrate_cancel": [["reply", "query-yank", []]],
        },
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert (result.outcome.ending, result.outcome.exit_status) == (Ending.EXITED, 0)
    assert result.outcome.shutdown_reason == "guest-shutdown"
    assert (result.summary.hops, result.bad, result.lost) == (0, (), "")
    sent = [
        record["message"].get("execute")
        for record in map(json.loads, (chains.folder / "qmp.jsonl").read_text().splitlines())
        if record["to"] == "qemu" and record["process"] == "qemu-1"
    ]
    after = [name for name in sent[sent.index("migrate") + 1 :] if name != "query-migrate"]
    assert (after, sent[-1]) == (["migrate_cancel", "query-yank", "quit"], "quit")


def test_a_destination_that_dies_leaves_the_guest_where_it_is(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = {
        "cont": [["stdout", "begin\n"], FOR_A_WHILE, *LEAVE],
        "before": {"migrate-incoming": [["abort"]]},
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert result.outcome.ending is Ending.EXITED
    assert len(result.bad) == 1
    assert "migrate-incoming" in result.bad[0]
    assert chains.console.endswith(b"SUMMARY: 1 tests\n")


def test_a_hop_that_never_ends_is_given_up(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    cancelled = ["event", "MIGRATION", {"status": "cancelled"}]
    script = {
        "cont": [["stdout", "begin\n"], FOR_A_WHILE, *LEAVE],
        "before": {
            "migrate": [ACTIVE],
            "migrate-incoming": [],
            "migrate_cancel": [cancelled],
        },
    }
    result = chains.run(Request(once, make_fake(**script), hop_seconds=0.3))
    hop = chains.hops[0]
    assert hop.outcome is HopOutcome.CANCELLED
    assert "not over within 0.3 s" in hop.reason
    assert ("matrix", "migrate_cancel") in [(event.side, event.what) for event in hop.events]
    assert result.outcome.ending is Ending.EXITED


def test_a_hop_that_is_not_cancelled_loses_its_destination_before_its_guest(
    chains: Chains, make_fake: MakeFake, once: Migration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with 7.2's multifd, which waits for channels that nobody reads."""
    monkeypatch.setattr(hop_module, "GIVING_UP", 0.2)
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [ACTIVE], "migrate-incoming": [], "migrate_cancel": []},
    }
    result = chains.run(Request(once, make_fake(**script), hop_seconds=0.3))
    hop = chains.hops[0]
    deeds = [event.what for event in hop.events if event.side == "matrix"]
    assert deeds[-2:] == [
        "migrate_cancel",
        "kill the destination, as the source does not cancel",
    ]
    assert hop.outcome is HopOutcome.LOST
    assert "cannot be cancelled" in result.lost


def test_a_hop_that_cannot_be_cancelled_in_postcopy_is_a_loss(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    paused = ["event", "MIGRATION", {"status": "postcopy-paused"}]
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [ACTIVE, STOP, paused], "migrate-incoming": [["event", "RESUME"]]},
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert result.lost.endswith(
        "the connection was lost in postcopy (in active, the guest on the destination)"
    )


def test_the_downtime_of_postcopy_is_what_was_said_while_it_was_under_way(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    """QEMU 10.0 and 11.1 tell 0 ms, of a phase of 1.4 s, at the end as the length of the phase."""
    postcopy = ["event", "MIGRATION", {"status": "postcopy-active"}]
    during = {"status": "postcopy-active", "total-time": 9, "downtime": 0, "ram": {"mbps": 64.0}}
    after = {**during, "status": "completed", "total-time": 1409, "downtime": 1400}
    completed = ["event", "MIGRATION", {"status": "completed"}]
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [ACTIVE, postcopy, STOP]},
        "after": {"query-migrate": [["reply", "query-migrate", after], completed]},
        "replies": {"query-migrate": during},
    }
    limited = replace(once, limits=HopLimits(downtime_max=0.5))
    result = chains.run(Request(limited, make_fake(**script)), stop_after=1)
    assert (chains.hops[0].downtime, chains.hops[0].total_time) == (0.0, 1.409)
    assert result.summary.broken == ()


def test_a_source_that_has_not_worked_out_its_times_is_asked_again(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    ram = {"transferred": 1000}
    early = {"status": "completed", "total-time": 0, "downtime": 0, "ram": ram}
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "replies": {"query-migrate": early},
        "after": {
            "query-migrate": [
                ["reply", "query-migrate", {**early, "total-time": 20, "downtime": 3}]
            ]
        },
    }
    chains.run(Request(once, make_fake(**script)), stop_after=1)
    assert (chains.hops[0].downtime, chains.hops[0].total_time) == (0.003, 0.02)


def test_a_source_that_says_late_that_postcopy_has_failed_keeps_the_guest(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    """11.1's destination may fail before its guest runs; its source then goes on."""
    postcopy = ["event", "MIGRATION", {"status": "postcopy-active"}]
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [ACTIVE, STOP, postcopy], "migrate-incoming": [ACTIVE]},
        "after": {
            "migrate": [["serve", 0.6], ["state", "running"], FAILED],
            "migrate-incoming": [["serve", 0.3], ["exit", 1]],
        },
        "replies": {"query-migrate": {"status": "failed", "error-desc": "Sibling error"}},
    }
    result = chains.run(Request(once, make_fake(**script)), stop_after=1)
    assert chains.hops[0].outcome is HopOutcome.FAILED
    assert not result.lost


def test_output_of_both_sides_is_told(chains: Chains, make_fake: MakeFake, once: Migration) -> None:
    script = ends_on_the_destination()
    takes = [
        ["event", "RESUME"],
        ["state", "running"],
        ["stdout", "over\n"],
        ["event", "MIGRATION", {"status": "completed"}],
    ]
    sends = [["event", "MIGRATION", {"status": "completed"}], ["sleep", 0.3], ["stdout", "here\n"]]
    script["before"] = {"migrate": sends, "migrate-incoming": takes}
    result = chains.run(Request(once, make_fake(**script)))
    assert chains.console == b"begin\nover\nSUMMARY: 1 tests\n"
    assert len(result.bad) == 1
    assert "both sides printed" in result.bad[0]


def test_the_source_is_drained_before_the_destination_speaks(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = ends_on_the_destination(cont=[["stdout", "x"], FOREVER])
    sends = [["stdout", "y" * 60_000], *[["event", "MIGRATION", {"status": "completed"}]]]
    script["before"] = {"migrate": sends}
    chains.run(Request(once, make_fake(**script)))
    assert chains.console == b"x" + b"y" * 60_000 + b"SUMMARY: 1 tests\n"


def test_a_qemu_that_refuses_is_no_hop(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    script = {"start": [["stderr", "qemu: no such machine\n"], ["exit", 1]]}
    result = chains.run(Request(once, make_fake(**script)))
    assert result.outcome.ending is Ending.REFUSED
    assert result.summary.hops == 0


def test_what_qemu_says_of_a_hop_is_not_what_its_guest_ended_of(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    said = "qemu: failed to save SaveStateEntry with id(name): 1(ram): -5\nqemu: other\n"
    failed = [["stderr", said], ACTIVE, FAILED]
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": failed, "migrate-incoming": []},
        "after": {"query-status": [FOR_A_WHILE, *LEAVE]},
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert result.outcome.ending is Ending.EXITED
    assert result.outcome.stderr_tail == ("qemu: other",)


def test_a_guest_that_shuts_down_right_after_a_hop_has_ended(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    takes = [["event", "RESUME"], ["state", "shutdown"]]
    completed = ["event", "MIGRATION", {"status": "completed"}]
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate-incoming": [*takes, completed]},
        "after": {"query-status": LEAVE},
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert (result.outcome.ending, result.bad) == (Ending.EXITED, ())
    assert result.summary.completed == 1


def test_a_qemu_that_ends_while_it_is_asked_says_why(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    last = [["stderr", "qemu: no such topology\n"], ["exit", 1]]
    script = {"before": {"query-migrate-capabilities": last}}
    result = chains.run(Request(once, make_fake(**script)))
    assert result.outcome.ending is Ending.REFUSED
    assert "no such topology" in result.outcome.reason


def test_a_source_that_runs_again_what_is_over_is_no_second_guest(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    """11.1 does so in postcopy-device, when its destination is gone with the guest's end."""
    takes = [["event", "RESUME"], ["state", "running"], *LEAVE]
    again = [["event", "MIGRATION", {"status": "active"}], ["sleep", 0.3], ["stdout", "begin\n"]]
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": again, "migrate-incoming": []},
        "after": {"migrate-incoming": takes},
    }
    result = chains.run(Request(once, make_fake(**script)))
    assert result.bad == ()
    assert chains.console == b"begin\nSUMMARY: 1 tests\n"


def test_what_a_binary_lacks_is_told(chains: Chains, make_fake: MakeFake, once: Migration) -> None:
    migration = replace(once, strategies=(replace_strategy("xbzrle"),))
    result = chains.run(Request(migration, make_fake(cont=[["stdout", "x"], FOREVER])))
    assert result.outcome.ending is Ending.ERROR
    assert result.outcome.reason == (
        "no xbzrle with QEMU fake: it has no migration capability 'xbzrle'"
    )


def test_cooperation(chains: Chains, make_fake: MakeFake, once: Migration) -> None:
    """The key goes to the destination, which is where the guest waits for it."""
    migration = replace(once, mode=MigrationMode.COOPERATIVE)
    script = {
        "cont": [["stdout", "Now migrate the VM, then press a key to continue...\n"], FOREVER],
        "after": {"migrate-incoming": [FOR_A_WHILE, ["key", "\n"], *LEAVE]},
    }
    result = chains.run(Request(migration, make_fake(**script)))
    assert result.outcome.exit_status == 1
    assert (result.summary.completed, result.bad) == (1, ())


def test_a_guest_that_never_asks(chains: Chains, make_fake: MakeFake, once: Migration) -> None:
    migration = replace(once, mode=MigrationMode.COOPERATIVE)
    result = chains.run(Request(migration, make_fake(cont=LEAVE)))
    assert result.bad == ("the guest never asked to be migrated, nor said that it skips",)


def test_a_killed_chain_is_gone_on_with(chains: Chains, make_fake: MakeFake) -> None:
    migration = Migration(mode=MigrationMode.CONTINUOUS, hops=5, pace=0.0)
    emulator = make_fake(cont=[["stdout", "x"], FOREVER])
    chains.run(Request(migration, emulator), stop_after=2)
    earlier = chains.folder / HOPS_FILE
    with earlier.open("ab") as file:
        file.write(b'{"number": 3, "beg')  # as a killed process leaves it
    result = chains.run(Request(migration, emulator, earlier=earlier), stop_after=3)
    assert [hop.number for hop in chains.hops] == [1, 2, 3]
    assert result.summary.hops == 3


def test_a_guest_that_died_is_found_however_often_it_is_migrated(
    chains: Chains, make_fake: MakeFake
) -> None:
    """Each hop is to another process, in which nothing has been silent for long."""
    migration = Migration(mode=MigrationMode.CONTINUOUS, pace=0.0)
    result = chains.run(
        Request(migration, make_fake(cont=[["stdout", "x"], FOREVER])),
        Limits(timeout=200, stall=3.0, start=60),
    )
    assert result.outcome.ending is Ending.STALL
    assert "no CPU time used for 3 s" in result.outcome.reason
    assert result.summary.completed >= 1


class Held(Injector):
    """Ends the chain when its hop is under way, which never ends by itself."""

    def __init__(self, interrupt: asyncio.Event, closed: list[str]) -> None:
        self._interrupt, self._closed = interrupt, closed

    async def on_event(self, hop: LiveHop, side: str, what: str) -> None:
        self._interrupt.set()

    async def close(self) -> None:
        self._closed.append("closed")


def test_what_a_fault_has_made_is_released_when_its_hop_is_cut_short(
    tmp_path: Path, make_fake: MakeFake
) -> None:
    closed: list[str] = []
    migration = Migration(mode=MigrationMode.ONCE, pace=0.0, faults=(Fault.CANCEL_IN_ACTIVE,))
    script = {
        "cont": [["stdout", "begin\n"], FOREVER],
        "before": {"migrate": [ACTIVE], "migrate-incoming": []},
    }

    async def chain() -> ChainResult:
        interrupt = asyncio.Event()
        request = Request(
            migration, make_fake(**script), injectors=lambda _: Held(interrupt, closed)
        )
        limits = Limits(timeout=200, stall=100, start=60)
        return await run_chain(
            request, tmp_path, limits, on_console=lambda _: None, interrupt=interrupt
        )

    assert asyncio.run(chain()).outcome.ending is Ending.INTERRUPTED
    assert closed == ["closed"]


def test_nothing_grows_with_hops(chains: Chains, make_fake: MakeFake) -> None:
    """Files and descriptors: the same after 3 hops as after 12 (memory is a benchmark's)."""
    found = []
    migration = Migration(mode=MigrationMode.CONTINUOUS, pace=0.0)
    emulator = make_fake(cont=[["stdout", "x"], FOREVER])
    for hops in (3, 12):
        chains.run(Request(migration, emulator), stop_after=hops)
        assert len(chains.hops) == hops
        found.append({path.name for path in chains.folder.rglob("*")})
    assert found[0] == found[1] == {"console.log", "qemu.log", "qmp.jsonl", "hops.jsonl"}


def replace_strategy(name: str) -> Any:
    from matrix.migrating import Strategy

    return Strategy(name)


def test_a_source_that_is_idle_in_a_hop_has_not_stalled(
    chains: Chains, make_fake: MakeFake, once: Migration
) -> None:
    """In postcopy the destination runs the guest, and its source may have nothing to do."""
    completed = ["event", "MIGRATION", {"status": "completed"}]
    script = ends_on_the_destination(
        before={"migrate": [ACTIVE, STOP, ["serve", 2.5], completed]},
        after={"migrate-incoming": [["serve", 2.6], *LEAVE]},
    )
    limits = Limits(timeout=100, stall=1.0, start=60)
    result = chains.run(Request(once, make_fake(**script)), limits)
    assert (result.outcome.ending, result.outcome.exit_status) == (Ending.EXITED, 1)
    assert result.bad == ()
