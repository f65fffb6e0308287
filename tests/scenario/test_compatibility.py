"""Which strategies, transports and faults go together, and what a hop may draw."""

from itertools import product

import pytest

from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.model import Architecture, Variant
from matrix.scenario.compatibility import (
    Route,
    for_variant,
    parameters_for,
    routes,
    senseless_fault,
    senseless_route,
    why_senseless,
)
from matrix.scenario.parameters import PARAMETERS

EVERYTHING = Migration(strategies=tuple(Strategy), transports=tuple(Transport), faults=tuple(Fault))
PLAIN = Variant(Architecture.ARM)


def test_a_strategy_through_a_file_is_one_route_however_many_transports_there_are() -> None:
    pools = Migration(
        strategies=(Strategy.FILE, Strategy.PRECOPY), transports=(Transport.UNIX, Transport.FD)
    )
    assert routes(pools) == (
        Route(Strategy.FILE, None),
        Route(Strategy.PRECOPY, Transport.UNIX),
        Route(Strategy.PRECOPY, Transport.FD),
    )
    assert [str(route) for route in routes(pools)][:2] == ["file over a file", "precopy over unix"]


@pytest.mark.parametrize("strategy", [Strategy.MULTIFD, Strategy.POSTCOPY_PREEMPT])
@pytest.mark.parametrize("transport", [Transport.FD, Transport.EXEC])
def test_several_connections_need_a_socket(strategy: Strategy, transport: Transport) -> None:
    assert "several connections" in senseless_route(strategy, transport)
    assert not senseless_route(strategy, Transport.TLS_X509)


def test_every_strategy_has_a_route_and_every_fault_can_happen_somewhere() -> None:
    drawn = routes(EVERYTHING)
    assert {route.strategy for route in drawn} == set(Strategy)
    assert {route.transport for route in drawn} == {None, *Transport}
    for fault in Fault:
        assert any(not senseless_fault(fault, route) for route in drawn)


def test_faults_need_what_they_are_named_after() -> None:
    for fault, route in product(Fault, routes(EVERYTHING)):
        if senseless_fault(fault, route):
            continue
        if "tls" in fault.value:
            assert route.transport in (Transport.TLS_PSK, Transport.TLS_X509)
        if "postcopy" in fault.value:
            assert route.strategy in (Strategy.POSTCOPY, Strategy.POSTCOPY_PREEMPT)
        if fault.value.startswith(("stall-", "drop-")):
            assert route.transport is not None
            assert route.transport.network
        if fault is Fault.DISK_FULL:
            assert route.strategy.through_file
        if "destination" in fault.value or "mismatch" in fault.value:
            assert not route.strategy.through_file


class TestForVariant:
    def test_an_axis_takes_its_pools_place(self) -> None:
        variant = Variant(
            Architecture.ARM,
            strategy=Strategy.POSTCOPY,
            transport=Transport.TCP,
            fault=Fault.DROP_IN_POSTCOPY,
            destination="11.1",
        )
        found = for_variant(Migration(destinations=("10.0",)), variant)
        assert found.strategies == (Strategy.POSTCOPY,)
        assert found.transports == (Transport.TCP,)
        assert found.faults == (Fault.DROP_IN_POSTCOPY,)
        assert found.destinations == ("11.1",)

    def test_pools_lose_what_the_axes_leave_without_a_partner(self) -> None:
        pools = Migration(
            strategies=(Strategy.PRECOPY, Strategy.POSTCOPY, Strategy.FILE),
            transports=(Transport.UNIX, Transport.TCP),
            parameters=(("max-postcopy-bandwidth", 1), ("downtime-limit", 2)),
        )
        found = for_variant(pools, Variant(Architecture.ARM, fault=Fault.STALL_IN_POSTCOPY))
        assert (found.strategies, found.transports) == ((Strategy.POSTCOPY,), (Transport.TCP,))
        assert found.parameters == pools.parameters
        found = for_variant(pools, Variant(Architecture.ARM, strategy=Strategy.FILE))
        assert found.transports == ()
        assert found.parameters == (("downtime-limit", 2),)

    def test_it_is_the_same_when_it_is_done_again(self) -> None:
        once = for_variant(EVERYTHING, PLAIN)
        assert for_variant(once, PLAIN) == once
        assert once == EVERYTHING

    def test_what_makes_no_sense_leaves_nothing_and_says_why(self) -> None:
        variant = Variant(Architecture.ARM, strategy=Strategy.MULTIFD, transport=Transport.FD)
        assert for_variant(Migration(), variant).strategies == ()
        assert "several connections" in why_senseless(Migration(), variant)
        variant = Variant(Architecture.ARM, fault=Fault.TLS_WRONG_PSK)
        assert why_senseless(Migration(), variant) == (
            "fault 'tls-wrong-psk' is none of transport 'unix': it needs tcp+tls-psk"
        )
        assert why_senseless(Migration(), PLAIN) == ""


def test_parameters_are_set_for_the_strategies_that_know_them() -> None:
    pools = Migration(parameters=(("multifd-channels", 4), ("max-bandwidth", 1)))
    assert parameters_for(pools, Strategy.PRECOPY) == (("max-bandwidth", 1),)
    assert parameters_for(pools, Strategy.MULTIFD) == pools.parameters


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max-bandwidth", "64MiB/s", 64 << 20),
        ("downtime-limit", "300ms", 300),
        ("downtime-limit", "2s", 2000),
        ("multifd-channels", "16", 16),
        ("xbzrle-cache-size", "64MiB", 64 << 20),
        ("vcpu-dirty-limit", "1GiB/s", 1024),
        ("cpu-throttle-tailslow", "true", True),
        ("direct-io", "false", False),
        ("multifd-compression", "zstd", "zstd"),
        ("announce-initial", "50ms", 50),
    ],
)
def test_parameters_are_in_the_units_of_qemu(name: str, text: str, value: object) -> None:
    assert PARAMETERS[name].parse(text) == value
