"""Postcopy that is interrupted and taken up again, by fake QEMUs that say how far it has come."""

import json
from collections.abc import Callable
from typing import cast

import pytest

from matrix.migrating import Fault, HopOutcome, Migration, MigrationMode, Strategy, Transport
from matrix.migration.endpoint import Emulator
from matrix.migration.faults import network
from matrix.migration.faults.injectors import injector_for
from matrix.migration.hop_runner import Request
from matrix.migration.live_hop import HopEnd, LiveHop
from tests.migration.conftest import Chains

IN_POSTCOPY = ["event", "MIGRATION", {"status": "postcopy-active"}]
CAPABILITIES = ("events", "return-path", "postcopy-ram", "postcopy-preempt")
REQUESTS = "postcopy-requests"
PAUSED = ["event", "MIGRATION", {"status": "postcopy-paused"}]


def test_the_preempt_channel_has_served_pages_before_it_is_lost(
    chains: Chains, make_fake: Callable[..., Emulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A destination that is paused before its thread for the channel has begun may die."""
    monkeypatch.setattr(network, "SERVED", 60.0)
    emulator = make_fake(
        cont=[["stdout", "begin\n"], ["serve", None]],
        replies={
            "query-migrate-capabilities": [
                {"capability": name, "state": False} for name in CAPABILITIES
            ],
            "query-migrate": {"status": "postcopy-active", "ram": {REQUESTS: 0}},
        },
        before={
            "migrate": [["event", "STOP"], IN_POSTCOPY],
            "migrate-incoming": [IN_POSTCOPY, ["event", "RESUME"], ["state", "running"]],
            "query-migrate": [["more", "query-migrate", "ram", REQUESTS]],
            "migrate-pause": [["exit", 1]],
        },
    )
    migration = Migration(
        mode=MigrationMode.ONCE,
        strategies=(Strategy.POSTCOPY_PREEMPT,),
        transports=(Transport.UNIX,),
        faults=(Fault.PAUSE_IN_POSTCOPY,),
        pace=0.0,
    )
    chains.run(Request(migration, emulator, injectors=injector_for))
    text = (chains.folder / "qmp.jsonl").read_text()
    of_source = [each for each in map(json.loads, text.splitlines()) if each["process"] == "qemu-1"]
    said = [each["message"] for each in of_source]
    paused = next(n for n, each in enumerate(said) if each.get("exec-oob") == "migrate-pause")
    answers = [each["return"] for each in said[:paused] if isinstance(each.get("return"), dict)]
    requests = [each["ram"][REQUESTS] for each in answers if "ram" in each]
    # Its one vCPU asks for a page again only when it has got the one before.
    assert requests[-1] - requests[0] > 1


def test_a_destination_that_is_to_be_recovered_is_asked_nothing(
    chains: Chains, make_fake: Callable[..., Emulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its main thread may wait for a vCPU that waits for a page."""
    monkeypatch.setattr(network, "STALL", 0.0)
    emulator = make_fake(
        cont=[["stdout", "begin\n"], ["serve", None]],
        replies={
            "query-migrate-capabilities": [
                {"capability": name, "state": False} for name in CAPABILITIES
            ],
            "query-migrate": {"status": "postcopy-active", "socket-address": [{"port": "1"}]},
        },
        before={
            "migrate": [["event", "STOP"], IN_POSTCOPY],
            "migrate-incoming": [IN_POSTCOPY, ["event", "RESUME"], ["state", "running"]],
            "migrate-pause": [PAUSED],
            "migrate-recover": [IN_POSTCOPY],
        },
        after={"migrate-recover": [["sleep", 3.0], ["exit", 1]]},
    )
    migration = Migration(
        mode=MigrationMode.ONCE,
        strategies=(Strategy.POSTCOPY,),
        transports=(Transport.TCP,),
        faults=(Fault.STALL_IN_POSTCOPY,),
        pace=0.0,
    )
    chains.run(Request(migration, emulator, injectors=injector_for))
    text = (chains.folder / "qmp.jsonl").read_text()
    of_source = [each for each in map(json.loads, text.splitlines()) if each["process"] == "qemu-1"]
    asked = [each["message"] for each in of_source]
    (resumed,) = [each for each in asked if each.get("arguments", {}).get("resume")]
    assert resumed["execute"] == "migrate"


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("active", ""),
        ("device", ""),
        ("pre-switchover", "the source is pre-switchover while the link"),
    ],
)
def test_a_source_waits_for_a_link_that_stalls_also_in_its_last_moment(
    chains: Chains,
    make_fake: Callable[..., Emulator],
    monkeypatch: pytest.MonkeyPatch,
    then: str,
    said: str,
) -> None:
    monkeypatch.setattr(network, "STALL", 0.5)
    active, status, failed = (
        ["event", "MIGRATION", {"status": each}] for each in ("active", then, "failed")
    )
    emulator = make_fake(
        cont=[["stdout", "begin\n"], ["serve", None]],
        before={"migrate": [active], "migrate-incoming": [active], "yank": [failed]},
        after={"migrate": [["serve", 0.1], status, ["serve", None]]},
        replies={"query-migrate": {"status": "active", "socket-address": [{"port": "1"}]}},
    )
    migration = Migration(
        mode=MigrationMode.ONCE,
        strategies=(Strategy.PRECOPY,),
        transports=(Transport.TCP,),
        faults=(Fault.STALL_IN_PRECOPY,),
        pace=0.0,
    )
    chains.run(Request(migration, emulator, injectors=injector_for), stop_after=1)
    (hop,) = chains.hops
    assert ("while the link stalls" in hop.reason) is bool(said), hop.reason
    assert said in hop.reason


@pytest.mark.parametrize(
    ("noticed", "said"),
    [
        (False, "stall-in-precopy could not be injected: the hop completed before"),
        (True, "stall-in-precopy: the hop must end as failed, and is completed"),
    ],
)
def test_a_link_that_stalls_behind_the_last_byte_is_no_fault(*, noticed: bool, said: str) -> None:
    injector = network.StallInPrecopy(Fault.STALL_IN_PRECOPY)
    injector.injected, injector.noticed = True, noticed
    assert injector.judge(cast("LiveHop", None), HopEnd(HopOutcome.COMPLETED)) == said
