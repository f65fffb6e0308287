"""Hops from host to host, of QEMUs that are peers in this process: where each one goes, and how."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.errors import MonitorError
from matrix.migrating import Hop, HopOutcome, Migration, MigrationMode, Transport
from matrix.migration.chain import run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.hop_runner import Request
from matrix.migration.routes import route_between
from matrix.model import ExitChannel, Launch
from matrix.vm.location import HERE, ClockReading, Landing, LocalPlace
from matrix.vm.machine import Limits
from tests.migration.peers import Guest

FAR = Migration(MigrationMode.CONTINUOUS, transports=(Transport.TCP,), host="other", pace=0.0)


class Host(LocalPlace):
    """This machine by another name, whose clock is ahead."""

    def __init__(self, host: str, ahead: float = 0.0, bound: float = 0.0) -> None:
        self.host = host
        self.landing = Landing(f"at-{host}", 1000, 1003, f"/keys/{host}", f"{host}.lab")
        self._reading = ClockReading(ahead, bound)

    def clock(self) -> ClockReading:
        return self._reading


def carried_out(folder: Path, count: int, *places: Host) -> list[Hop]:
    """The hops of a guest that never ends by itself."""
    launch = Launch(("peer",), ExitChannel.CONSOLE)
    emulators = [Emulator("system", "7.2.0", launch, host=place.host) for place in places]
    hops: list[Hop] = []
    enough = asyncio.Event()

    def hopped(hop: Hop) -> None:
        hops.append(hop)
        if len(hops) == count:
            enough.set()

    request = Request(
        replace(FAR, hops=count),
        emulators[0],
        (*emulators[1:], emulators[0]),
        on_hop=hopped,
        proves=True,
        places=places,
    )
    directory = folder / "attempt"
    directory.mkdir(mode=0o700)
    chain = run_chain(
        request, directory, Limits(60.0, 60.0), on_console=lambda _data: None, interrupt=enough
    )
    asyncio.run(chain)
    return hops


def way(hop: Hop) -> str:
    ends = (side.rpartition(" on ")[2] for side in (hop.source, hop.destination))
    return ">".join(ends)


def test_each_hop_goes_to_the_other_host(tmp_path: Path, peers: Guest) -> None:
    hops = carried_out(tmp_path, 4, Host("a"), Host("b"))
    assert [way(hop) for hop in hops] == ["a>b", "b>a", "a>b", "b>a"]
    assert all(hop.good for hop in hops)
    assert peers.hops == 4


def test_a_guest_goes_on_to_a_third_host(tmp_path: Path, peers: Guest) -> None:
    hops = carried_out(tmp_path, 8, Host("a"), Host("b"), Host("c"))
    ways = [way(hop) for hop in hops]
    assert all(end.rpartition(">")[2] == begin[0] for end, begin in itertools.pairwise(ways))
    assert {end for each in ways for end in each.split(">")} == {"a", "b", "c"}
    assert {"b>c", "c>b"} & {*ways}
    assert not {"a>a", "b>b", "c>c"} & {*ways}
    assert peers.hops == 8


def test_after_a_hop_that_failed_the_next_one_goes_to_another_host_too(
    tmp_path: Path, peers: Guest
) -> None:
    """Its destination was started while the guest was taken to be there soon."""
    peers.dies = (":1000",)
    peers.dies_once = True
    hops = carried_out(tmp_path, 3, Host("a"), Host("b"))
    assert [hop.outcome for hop in hops] == [
        HopOutcome.FAILED,
        HopOutcome.COMPLETED,
        HopOutcome.COMPLETED,
    ]
    assert [way(hop) for hop in hops] == ["a>b", "a>b", "b>a"]


def test_stop_to_resume_is_told_by_two_clocks_and_a_bound(tmp_path: Path, peers: Guest) -> None:
    assert peers.hops == 0
    hops = carried_out(tmp_path, 2, Host("a", 1.5, 0.25), Host("b", -1.0, 0.5))
    # Both hosts are this one, whose clock is neither ahead nor behind: what is taken off shows.
    told = [hop.stop_to_resume for hop in hops if hop.stop_to_resume is not None]
    assert told == pytest.approx([2.5, -2.5], abs=0.4)
    assert [hop.clock_bound for hop in hops] == [0.75, 0.75]


def test_without_a_comparison_of_the_clocks_it_is_not_told(tmp_path: Path, peers: Guest) -> None:
    assert peers.hops == 0
    hops = carried_out(tmp_path, 1, Host("a", 0.0, float("inf")), Host("b"))
    assert [(hop.stop_to_resume, hop.clock_bound) for hop in hops] == [(None, None)]


def test_tls_takes_each_host_s_own_key_and_the_other_s_name() -> None:
    route = route_between(Transport.TLS_X509, Host("a"), Host("b"))
    secrets = getattr(route, "secrets", None)
    assert secrets is not None
    assert (secrets.client["dir"], secrets.server["dir"]) == ("/keys/a", "/keys/b")
    assert secrets.hostname == "b.lab"


@pytest.mark.parametrize("transport", [Transport.UNIX, Transport.FD, Transport.TLS_PSK])
def test_other_transports_do_not_reach_another_host(transport: Transport) -> None:
    with pytest.raises(MonitorError, match="is one host's only"):
        route_between(transport, Host("a"), Host("b"))


def test_there_is_no_route_from_this_machine() -> None:
    with pytest.raises(MonitorError, match="is one host's only"):
        route_between(Transport.TCP, HERE, Host("b"))
