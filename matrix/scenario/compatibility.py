"""Which strategies, transports, faults and parameters make sense together, whatever the QEMU. Pure.

The rules are QEMU's own: several connections need a socket
(``migration_channels_and_transport_compatible`` in migration/migration.c), a stream into a file
has no destination that could answer. What one binary lacks is :mod:`matrix.plan.migration_plan`'s.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.model import Variant
from matrix.scenario.parameters import PARAMETERS

POSTCOPIES = frozenset({Strategy.POSTCOPY, Strategy.POSTCOPY_PREEMPT})
THROTTLING = frozenset({Strategy.AUTO_CONVERGE, Strategy.DIRTY_LIMIT})
LIVE = POSTCOPIES | THROTTLING | frozenset({Strategy.PRECOPY, Strategy.MULTIFD, Strategy.XBZRLE})
"""Those between two processes that both live, so that each can be cancelled, killed or cut off."""

_STREAMED = LIVE | frozenset({Strategy.MAPPED_RAM, Strategy.FILE})
"""Those that send all memory while the guest runs, then stop it."""

_SEVERAL_CONNECTIONS = frozenset({Strategy.MULTIFD, Strategy.POSTCOPY_PREEMPT})
_TLS = frozenset({Transport.TLS_PSK, Transport.TLS_X509})
_NETWORK = frozenset(transport for transport in Transport if transport.network)
_BETWEEN_HOSTS = frozenset(transport for transport in Transport if transport.between_hosts)
_SOCKETS = _NETWORK | frozenset({Transport.UNIX})
_ANY = frozenset(Transport)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a fault can be injected into."""

    strategies: frozenset[Strategy]
    transports: frozenset[Transport] = _ANY


_X509 = frozenset({Transport.TLS_X509})
_FAULTS: dict[Fault, _Setting] = {
    Fault.NO_LISTENER: _Setting(LIVE, _SOCKETS),
    # Setup lasts for as long as someone waits for a connection.
    Fault.CANCEL_IN_SETUP: _Setting(LIVE, _SOCKETS),
    Fault.CANCEL_IN_ACTIVE: _Setting(_STREAMED | {Strategy.BACKGROUND_SNAPSHOT}),
    Fault.CANCEL_IN_PRE_SWITCHOVER: _Setting(_STREAMED),
    Fault.CANCEL_IN_COMPLETED: _Setting(LIVE),
    Fault.KILL_DESTINATION_IN_SETUP: _Setting(LIVE, _SOCKETS),
    Fault.KILL_DESTINATION_IN_ACTIVE: _Setting(LIVE),
    Fault.KILL_DESTINATION_IN_PRE_SWITCHOVER: _Setting(LIVE),
    Fault.KILL_SOURCE_IN_ACTIVE: _Setting(LIVE),
    Fault.KILL_SOURCE_IN_POSTCOPY: _Setting(POSTCOPIES),
    Fault.MEMORY_MISMATCH: _Setting(LIVE),
    Fault.DEVICE_MISMATCH: _Setting(LIVE),
    Fault.VCPU_MISMATCH: _Setting(LIVE),
    Fault.MACHINE_MISMATCH: _Setting(LIVE),
    Fault.UUID_MISMATCH: _Setting(LIVE),
    Fault.TLS_WRONG_CERTIFICATE: _Setting(LIVE, _X509),
    Fault.TLS_WRONG_HOST: _Setting(LIVE, _X509),
    Fault.TLS_NO_CLIENT_CERTIFICATE: _Setting(LIVE, _X509),
    Fault.TLS_WRONG_PSK: _Setting(LIVE, frozenset({Transport.TLS_PSK})),
    Fault.STALL_IN_PRECOPY: _Setting(LIVE, _NETWORK),
    Fault.DROP_IN_PRECOPY: _Setting(LIVE, _NETWORK),
    Fault.STALL_IN_POSTCOPY: _Setting(POSTCOPIES, _NETWORK),
    Fault.DROP_IN_POSTCOPY: _Setting(POSTCOPIES, _NETWORK),
    Fault.CUT_LINK_IN_PRECOPY: _Setting(LIVE, _BETWEEN_HOSTS),
    Fault.CUT_LINK_IN_POSTCOPY: _Setting(POSTCOPIES, _BETWEEN_HOSTS),
    Fault.CUT_LINK_BRIEFLY_IN_PRECOPY: _Setting(LIVE, _BETWEEN_HOSTS),
    Fault.CUT_LINK_BRIEFLY_IN_POSTCOPY: _Setting(POSTCOPIES, _BETWEEN_HOSTS),
    Fault.LOSE_DESTINATION_HOST_IN_PRECOPY: _Setting(LIVE, _BETWEEN_HOSTS),
    Fault.LOSE_DESTINATION_HOST_IN_POSTCOPY: _Setting(POSTCOPIES, _BETWEEN_HOSTS),
    Fault.LOSE_SOURCE_HOST_IN_PRECOPY: _Setting(LIVE, _BETWEEN_HOSTS),
    Fault.LOSE_SOURCE_HOST_IN_POSTCOPY: _Setting(POSTCOPIES, _BETWEEN_HOSTS),
    Fault.KILL_DESTINATION_WORKER_IN_PRECOPY: _Setting(LIVE, _BETWEEN_HOSTS),
    Fault.KILL_DESTINATION_WORKER_IN_POSTCOPY: _Setting(POSTCOPIES, _BETWEEN_HOSTS),
    Fault.KILL_SOURCE_WORKER_IN_PRECOPY: _Setting(LIVE, _BETWEEN_HOSTS),
    Fault.KILL_SOURCE_WORKER_IN_POSTCOPY: _Setting(POSTCOPIES, _BETWEEN_HOSTS),
    # The stream is taken up again over a new connection, which needs something to connect to.
    Fault.PAUSE_IN_POSTCOPY: _Setting(POSTCOPIES, _SOCKETS),
    Fault.CHANGE_BANDWIDTH: _Setting(_STREAMED | {Strategy.BACKGROUND_SNAPSHOT}),
    Fault.CHANGE_DOWNTIME_LIMIT: _Setting(_STREAMED),
    Fault.PAUSE_SOURCE: _Setting(_STREAMED),
    Fault.DISK_FULL: _Setting(frozenset(s for s in Strategy if s.through_file)),
    Fault.STOP_DESTINATION: _Setting(LIVE),
    Fault.NO_CONVERGENCE_THROTTLED: _Setting(frozenset({Strategy.AUTO_CONVERGE})),
    Fault.NO_CONVERGENCE_DIRTY_LIMITED: _Setting(frozenset({Strategy.DIRTY_LIMIT})),
    Fault.NO_CONVERGENCE_POSTCOPY: _Setting(POSTCOPIES),
    Fault.NO_CONVERGENCE_CANCELLED: _Setting(
        frozenset({Strategy.PRECOPY, Strategy.MULTIFD, Strategy.XBZRLE})
    ),
}


_ON_ONE_HOST = frozenset(
    {
        Fault.NO_LISTENER,
        Fault.CANCEL_IN_SETUP,
        Fault.KILL_DESTINATION_IN_SETUP,
        Fault.TLS_WRONG_CERTIFICATE,
        Fault.TLS_WRONG_HOST,
        Fault.TLS_NO_CLIENT_CERTIFICATE,
        Fault.TLS_WRONG_PSK,
    }
)
"""Faults for which we make the QEMUs' keys, or listen ourselves, or choose the port."""

END_A_WORKER = frozenset(
    {
        Fault.KILL_DESTINATION_WORKER_IN_PRECOPY,
        Fault.KILL_DESTINATION_WORKER_IN_POSTCOPY,
        Fault.KILL_SOURCE_WORKER_IN_PRECOPY,
        Fault.KILL_SOURCE_WORKER_IN_POSTCOPY,
    }
)
"""Faults that end whatever runs on a host."""

NEED_TWO_HOSTS = END_A_WORKER | frozenset(
    {
        Fault.CUT_LINK_IN_PRECOPY,
        Fault.CUT_LINK_IN_POSTCOPY,
        Fault.CUT_LINK_BRIEFLY_IN_PRECOPY,
        Fault.CUT_LINK_BRIEFLY_IN_POSTCOPY,
        Fault.LOSE_DESTINATION_HOST_IN_PRECOPY,
        Fault.LOSE_DESTINATION_HOST_IN_POSTCOPY,
        Fault.LOSE_SOURCE_HOST_IN_PRECOPY,
        Fault.LOSE_SOURCE_HOST_IN_POSTCOPY,
    }
)
"""Faults of a link, or a host, that guests on one host do not depend on."""


def stays_on_one_host(value: Strategy | Transport | Fault) -> bool:
    """Whether it needs both QEMUs on the same host."""
    match value:
        case Strategy():
            return value not in LIVE
        case Transport():
            return not value.between_hosts
        case Fault():
            return value in _ON_ONE_HOST


@dataclass(frozen=True, slots=True)
class Route:
    """One way for a hop to take; no transport where the state goes through a file."""

    strategy: Strategy
    transport: Transport | None

    def __str__(self) -> str:
        return f"{self.strategy.value} over {self.transport.value if self.transport else 'a file'}"


def routes(migration: Migration) -> tuple[Route, ...]:
    """What a hop may draw: every strategy of the pool with every transport that fits it, in order.

    A strategy through a file stands once, whatever the transports are.
    """
    return tuple(dict.fromkeys(_routes(migration)))


def _routes(migration: Migration) -> Iterator[Route]:
    for strategy in migration.strategies:
        if strategy.through_file:
            yield Route(strategy, None)
            continue
        for transport in migration.transports:
            if not senseless_route(strategy, transport):
                yield Route(strategy, transport)


def parameters_for(
    migration: Migration, strategy: Strategy
) -> tuple[tuple[str, int | bool | str], ...]:
    """The parameters, by QEMU's names and in its units, that mean something to that strategy."""
    return tuple(
        (name, value)
        for name, value in migration.parameters
        if strategy in PARAMETERS[name].strategies
    )


def for_variant(migration: Migration, variant: Variant) -> Migration:
    """``migration`` as the hops of one variant have it.

    An axis takes the place of its pool, and what has no partner left in a pool is left out, so
    that each value of a pool can be drawn. Where nothing is left, the variant makes no sense.
    """
    fixed = _with_axes(migration, variant)
    every = routes(fixed)
    faults = fixed.faults
    if variant.fault is not None:
        every = tuple(route for route in every if not senseless_fault(variant.fault, route))
    else:
        faults = tuple(f for f in faults if any(not senseless_fault(f, route) for route in every))
    drawn = {route.transport for route in every}
    return replace(
        fixed,
        strategies=tuple(dict.fromkeys(route.strategy for route in every)),
        transports=tuple(transport for transport in fixed.transports if transport in drawn),
        faults=faults,
        parameters=tuple(
            (name, value)
            for name, value in fixed.parameters
            if any(route.strategy in PARAMETERS[name].strategies for route in every)
        ),
    )


def why_senseless(migration: Migration, variant: Variant) -> str:
    """Why no hop of that variant is possible with any QEMU, in words; empty where one is."""
    if for_variant(migration, variant).strategies:
        return ""
    return clash_of(migration, variant).message


@dataclass(frozen=True, slots=True)
class Clash:
    """What does not go together: in words, and the axes that bring it about, the last first."""

    message: str
    axes: tuple[str, ...]


def clash_of(migration: Migration, variant: Variant) -> Clash:
    """Why :func:`for_variant` leaves no strategy."""
    fixed = _with_axes(migration, variant)
    every = routes(fixed)
    if not every:
        reasons = [senseless_route(*pair) for pair in product(fixed.strategies, fixed.transports)]
        message = together(reasons) or "no strategy here goes over any of the transports"
        return Clash(message, _given(variant, ("transport", "strategy")))
    fault = variant.fault
    assert fault is not None  # noqa: S101 - for_variant found no other reason
    message = together([senseless_fault(fault, route) for route in every])
    if not message:
        message = f"fault {fault.value!r} needs {needs_of_fault(fault)}"
    elsewhere = (Route(s, route.transport) for s in Strategy for route in every)
    by_transport = all(senseless_fault(fault, route) for route in elsewhere)
    others = ("transport",) if by_transport else ("strategy", "transport")
    return Clash(message, _given(variant, ("fault", *others)))


def together(reasons: Iterable[str]) -> str:
    """The reason if it is one and the same, else empty."""
    different = set(reasons)
    return different.pop() if len(different) == 1 else ""


def _given(variant: Variant, axes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(axis for axis in axes if getattr(variant, axis) is not None)


def senseless_route(strategy: Strategy, transport: Transport) -> str:
    """Why no QEMU can do that, in words; empty where it makes sense."""
    if strategy.through_file:
        return f"strategy {strategy.value!r} goes through a file and takes no transport"
    if strategy in _SEVERAL_CONNECTIONS and transport not in _SOCKETS:
        return (
            f"strategy {strategy.value!r} needs several connections, which transport "
            f"{transport.value!r} has not"
        )
    if strategy is Strategy.CPR_TRANSFER and transport not in (Transport.UNIX, Transport.TCP):
        return (
            f"strategy 'cpr-transfer' stays on one host and needs transport 'unix' or 'tcp', "
            f"not {transport.value!r}"
        )
    return ""


def senseless_fault(fault: Fault, route: Route) -> str:
    """Why that fault cannot happen on that route, in words; empty where it can."""
    setting = _FAULTS[fault]
    if route.strategy not in setting.strategies:
        return (
            f"fault {fault.value!r} is none of strategy {route.strategy.value!r}: "
            f"it needs {_either(setting.strategies, Strategy)}"
        )
    if route.transport is not None and route.transport not in setting.transports:
        return (
            f"fault {fault.value!r} is none of transport {route.transport.value!r}: "
            f"it needs {_either(setting.transports, Transport)}"
        )
    return ""


def needs_of_fault(fault: Fault) -> str:
    """What is particular about what the fault takes: ``strategy … and transport …``."""
    setting = _FAULTS[fault]
    words = []
    if not setting.strategies >= LIVE:
        words.append(f"strategy {_either(setting.strategies, Strategy)}")
    if setting.transports != _ANY:
        words.append(f"transport {_either(setting.transports, Transport)}")
    return " and ".join(words) or "a strategy that goes through no file"


def _either(
    chosen: frozenset[Strategy] | frozenset[Transport],
    every: type[Strategy] | type[Transport],
) -> str:
    """The chosen in the order of their enumeration: ``tcp, tcp+tls-psk or tcp+tls-x509``."""
    names = [member.value for member in every if member in chosen]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _with_axes(migration: Migration, variant: Variant) -> Migration:
    return replace(
        migration,
        strategies=(variant.strategy,) if variant.strategy else migration.strategies,
        transports=(variant.transport,) if variant.transport else migration.transports,
        faults=(variant.fault,) if variant.fault else migration.faults,
        destinations=(variant.destination,) if variant.destination else migration.destinations,
    )
