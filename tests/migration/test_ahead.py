"""Destinations that are got ready before their hop begins."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.attempt import ChainResult, Ending
from matrix.migrating import Fault, Hop, Migration, MigrationMode, Strategy, Transport
from matrix.migration.ahead import has_room
from matrix.migration.endpoint import Emulator
from matrix.migration.hop_runner import STRIDE, Request
from matrix.migration.live_hop import Injector
from matrix.model import ExitChannel, Launch
from tests.migration.conftest import RealQemu
from tests.migration.peers import Guest

Chains = Any

HOPS = 9
PEER = Emulator("peer", "7.2.0", Launch(("qemu",), ExitChannel.QEMU_EXIT))
NOTE = "the destination has listened for "
SETTINGS = ("migrate-set-parameters", "migrate-set-capabilities")


def chain(
    chains: Chains, destinations: tuple[Emulator, ...] = (), seed: int = 0, **more: Any
) -> ChainResult:
    """As many hops as asked for, without a pause."""
    migration = Migration(
        mode=MigrationMode.CONTINUOUS,
        transports=(Transport.UNIX,),
        pace=0.0,
        hops=HOPS,
        **more,
    )
    request = Request(
        migration, PEER, destinations, seed, injectors=lambda _: Injector(), proves=True
    )
    result: ChainResult = chains.run(request, stop_after=HOPS)
    assert result.outcome.ending is Ending.INTERRUPTED, result.outcome.reason
    return result


def listened(hop: Hop) -> bool:
    return any(event.what.startswith(NOTE) for event in hop.events)


def commands(folder: Path) -> dict[str, list[str]]:
    """What each process was told, in order."""
    told: dict[str, list[str]] = {}
    for line in (folder / "qmp.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if command := entry["message"].get("execute"):
            told.setdefault(entry["process"], []).append(command)
    return told


@pytest.mark.usefixtures("peers")
def test_destinations_of_a_chain_that_goes_on_listen_before_their_hop(chains: Chains) -> None:
    result = chain(chains)
    assert (result.summary.completed, result.summary.bad) == (HOPS, 0)
    first = STRIDE + 2  # its start is the first that is made in stride
    assert [hop.number for hop in chains.hops if listened(hop)] == [*range(first, HOPS + 1)]
    for hop in chains.hops:
        setups = [event for event in hop.events if event.what == "MIGRATION setup"]
        assert sorted(event.side for event in setups) == ["destination", "source"]


@pytest.mark.usefixtures("peers")
def test_what_is_set_already_is_not_set_again(chains: Chains) -> None:
    chain(chains)
    told = commands(chains.folder)
    # Set up for the hop to it, and again for the one from it unless that is made in stride.
    counts = {name: [each.count(command) for command in SETTINGS] for name, each in told.items()}
    in_stride = [f"qemu-{number}" for number in range(STRIDE + 3, HOPS + 1)]
    assert {name: counts[name] for name in in_stride} == {name: [1, 1] for name in in_stride}
    assert counts["qemu-2"] == [2, 2]


@pytest.mark.usefixtures("peers")
def test_no_destination_is_started_for_no_hop(chains: Chains) -> None:
    chain(chains)
    assert len(commands(chains.folder)) == HOPS + 1


@pytest.mark.usefixtures("peers")
def test_hops_of_a_chain_with_faults_are_set_up_when_they_begin(chains: Chains) -> None:
    chain(chains, faults=(Fault.CANCEL_IN_COMPLETED,))
    assert not any(map(listened, chains.hops))


@pytest.mark.usefixtures("peers")
def test_installations_that_a_chain_comes_to_late(chains: Chains) -> None:
    """What one can do is known once it was started. With this seed ``other-0`` comes with hop 5,
    and hop 6, which is drawn by what its source can do, goes to one that is known."""
    others = tuple(replace(PEER, name=f"other-{number}") for number in range(3))
    result = chain(chains, others, seed=8)
    assert (result.summary.completed, result.summary.bad) == (HOPS, 0)


def test_a_destination_that_ends_while_it_listens_fails_its_hop_alone(
    chains: Chains, peers: Guest
) -> None:
    bad = STRIDE + 3
    peers.dies = (f"hop-{bad}",)
    result = chain(chains)
    assert result.summary.completed == HOPS - 1
    assert [hop.number for hop in chains.hops if not hop.good] == [bad]
    assert "QEMU has ended while it listened" in chains.hops[bad - 1].reason
    assert "exited with status 1" in chains.hops[bad - 1].reason


def test_one_more_destination_needs_memory() -> None:
    assert has_room(PEER.launch, 1 << 20)
    assert not has_room(PEER.launch, 1 << 60)
    words = ("-object", "memory-backend-ram,id=m,size=1M,prealloc=on")
    assert not has_room(Launch(words, ExitChannel.QEMU_EXIT), 1 << 20)


@pytest.mark.qemu
def test_real_qemus_of_every_strategy_are_set_up_ahead(chains: Chains, real: RealQemu) -> None:
    """Each of which leaves other capabilities behind for the next."""
    strategies = (Strategy.PRECOPY, Strategy.MULTIFD, Strategy.XBZRLE, Strategy.AUTO_CONVERGE)
    migration = Migration(
        mode=MigrationMode.CONTINUOUS,
        strategies=strategies,
        transports=(Transport.UNIX, Transport.TCP),
        pace=0.0,
        hops=HOPS + 3,
    )
    for name, request in real.requests("hang", migration):
        result = chains.run(request, stop_after=migration.hops)
        assert (result.outcome.ending, result.bad) == (Ending.INTERRUPTED, ()), name
        for hop in chains.hops:
            assert listened(hop) == (hop.number > STRIDE + 1 and hop.transport == "unix"), name
