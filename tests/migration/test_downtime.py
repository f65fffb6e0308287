"""Tests of the time that each device takes in a hop."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from matrix.migrating import DeviceTime, Migration, MigrationMode, Strategy
from matrix.migration.endpoint import Emulator
from matrix.migration.hop_runner import Request
from matrix.vm.machine import Limits
from tests.migration.conftest import SENDS, TAKES

Chains = Any
Real = Any
MakeFake = Callable[..., Emulator]
Script = list[list[Any]]

HOPS = 2

EVENTS = [
    {"name": f"vmstate_downtime_{each}", "state": "disabled"}
    for each in ("checkpoint", "load", "save")
]


def event(kind: str, device: str, microseconds: int, instance: int = 0) -> list[Any]:
    which = f"type=non-iterable idstr={device} instance_id={instance}"
    return ["stderr", f"vmstate_downtime_{kind} {which} downtime={microseconds}\n"]


SAVES = [event("save", "ram", 40), event("save", "cpu", 21), event("save", "cpu", 20, 1)]
LOADS = [event("load", "cpu", 300), event("load", "cpu", 7, 1), event("load", "0000:00/a b", 5)]


@pytest.fixture
def explained() -> Migration:
    return Migration(mode=MigrationMode.CONTINUOUS, hops=HOPS, pace=0.0, explain_downtime=True)


def tracing(make_fake: MakeFake, known: object, saves: Script, loads: Script) -> Emulator:
    """A QEMU that knows these trace events, and writes these lines in each hop."""
    return make_fake(
        cont=[["stdout", "begin\n"], ["serve", None]],
        before={
            "migrate": [*saves, ["stderr", "qemu: warning: slow\n"], *SENDS],
            "migrate-incoming": [*TAKES[:-1], *loads, TAKES[-1]],
        },
        replies={"trace-event-get-state": known},
    )


def test_each_hop_has_the_times_of_its_devices(
    chains: Chains, make_fake: MakeFake, explained: Migration
) -> None:
    """And what QEMU says besides, alone, is in its log."""
    emulator = tracing(make_fake, EVENTS, SAVES, LOADS)
    result = chains.run(Request(explained, emulator), stop_after=HOPS)
    assert [hop.devices for hop in chains.hops] == [
        (
            DeviceTime("ram", 0, 4e-05, None),
            DeviceTime("cpu", 0, 2.1e-05, 0.0003),
            DeviceTime("cpu", 1, 2e-05, 7e-06),
            DeviceTime("0000:00/a b", 0, None, 5e-06),
        )
    ] * HOPS
    assert {each.name: each.max for each in result.summary.devices} == {
        "ram save": pytest.approx(40e-6),
        "cpu save": pytest.approx(41e-6),
        "cpu load": pytest.approx(307e-6),
        "0000:00/a b load": pytest.approx(5e-6),
    }
    assert result.summary.untraced == ()
    log = (chains.folder / "qemu.log").read_text()
    assert "vmstate" not in log
    assert log.count("qemu: warning: slow") == HOPS


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ([], "QEMU fake 7.2.0 has no trace events vmstate_downtime_*"),
        ({}, "QEMU fake 7.2.0 has no trace events vmstate_downtime_*"),
        (
            [{**each, "state": "unavailable"} for each in EVENTS],
            "QEMU fake 7.2.0 has no trace events vmstate_downtime_*",
        ),
        (EVENTS, "QEMU fake 7.2.0 does not trace to its stderr"),
    ],
)
def test_a_qemu_that_does_not_tell_is_named(
    chains: Chains, make_fake: MakeFake, explained: Migration, known: object, why: str
) -> None:
    emulator = tracing(make_fake, known, [], [])
    result = chains.run(Request(explained, emulator), stop_after=HOPS)
    assert [(hop.good, hop.devices, hop.untraced) for hop in chains.hops] == [(True, (), why)] * 2
    assert result.summary.untraced == (why,)


def test_a_command_that_is_not_there_is_no_failure(
    chains: Chains, make_fake: MakeFake, explained: Migration
) -> None:
    """As of a QEMU that is built without tracing."""
    refused = {"trace-event-get-state": ("CommandNotFound", "no such command")}
    emulator = make_fake(cont=[["stdout", "begin\n"], ["serve", None]], errors=refused)
    result = chains.run(Request(explained, emulator), stop_after=HOPS)
    assert result.bad == ()
    assert len(result.summary.untraced) == 1


def test_nobody_is_asked_unless_the_scenario_says_so(
    chains: Chains, make_fake: MakeFake, explained: Migration
) -> None:
    emulator = tracing(make_fake, EVENTS, [], [])
    quiet = replace(explained, explain_downtime=False)
    assert chains.run(Request(quiet, emulator), stop_after=HOPS).summary.untraced == ()
    assert "trace-event" not in (chains.folder / "qmp.jsonl").read_text()


@pytest.mark.qemu
@pytest.mark.parametrize("strategy", [Strategy.PRECOPY, Strategy.POSTCOPY, Strategy.FILE])
def test_what_real_qemus_tell(chains: Chains, real: Real, strategy: Strategy) -> None:
    """7.2 cannot; the others tell of memory and vCPU in every hop."""
    migration = Migration(
        mode=MigrationMode.CONTINUOUS,
        strategies=(strategy,),
        hops=HOPS,
        pace=0.0,
        explain_downtime=True,
    )
    for name, request in real.requests("ram-integrity", migration):
        result = chains.run(request, Limits(timeout=200, stall=60, start=60))
        assert (result.bad, result.summary.completed) == ((), HOPS), name
        if name == "system" and result.summary.untraced:
            assert "has no trace events" in result.summary.untraced[0]
            continue
        assert result.summary.untraced == (), name
        for hop in chains.hops:
            times = {(each.device, each.instance): each for each in hop.devices}
            assert len(times) > 5
            for section in ("ram", "cpu"):
                time = times[section, 0]
                assert time.save is not None
                assert time.load is not None
                assert 0 <= time.save + time.load < hop.seconds
        assert "vmstate_downtime" not in (chains.folder / "qemu.log").read_text()
