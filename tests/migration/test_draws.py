"""What hops are made of."""

from collections import Counter
from dataclasses import replace

from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.migration.draws import HopDraw
from matrix.migration.strategies import Abilities

ABLE = Abilities(frozenset({"multifd", "postcopy-ram"}), {"multifd-channels": 2})
POOLS = Migration(
    strategies=(Strategy.PRECOPY, Strategy.MULTIFD, Strategy.FILE),
    transports=(Transport.UNIX, Transport.TCP, Transport.FD),
    faults=(Fault.CANCEL_IN_ACTIVE, Fault.NO_LISTENER),
)


def test_a_seed_repeats_the_run() -> None:
    def drawn(seed: int) -> list[object]:
        lots = [HopDraw(POOLS, seed, number) for number in range(1, 50)]
        return [(draw.route({"a": ABLE}, None), draw.fault()) for draw in lots]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_every_value_comes_up_and_only_what_fits() -> None:
    routes = Counter(str(HopDraw(POOLS, 1, n).route({"a": ABLE}, None)) for n in range(600))
    assert sum(routes[f"precopy over {t}"] for t in ("unix", "tcp", "fd")) > 150
    assert routes["file over a file"] > 150
    assert "multifd over fd" not in routes
    assert "multifd over unix" in routes


def test_a_hop_that_is_interfered_with_is_followed_by_one_that_is_not() -> None:
    faults = [HopDraw(POOLS, 1, number).fault() for number in range(1, 101)]
    assert all(fault is not None for fault in faults[::2])
    assert not any(faults[1::2])
    assert set(faults) == {None, *POOLS.faults}


def test_a_fault_that_does_not_fit_a_strategy_chooses_another() -> None:
    for number in range(50):
        route = HopDraw(POOLS, 1, number).route({"a": ABLE}, Fault.NO_LISTENER)
        assert not isinstance(route, str)
        assert route.strategy is not Strategy.FILE
        assert route.transport is not Transport.FD


def test_the_guest_goes_elsewhere_if_there_is_an_elsewhere() -> None:
    for number in range(50):
        assert HopDraw(POOLS, 1, number).destination(("a", "b"), "a") == "b"
        assert HopDraw(POOLS, 1, number).destination(("a",), "a") == "a"


def test_why_there_is_nothing_to_draw() -> None:
    pools = replace(POOLS, strategies=(Strategy.XBZRLE,), faults=())
    assert HopDraw(pools, 1, 1).route({"old": ABLE}, None) == (
        "no xbzrle with QEMU old: it has no migration capability 'xbzrle'"
    )
