"""What ``migration:`` means, alone and together with the axes of the matrix. Pure.

The values themselves are right already (:mod:`.migration_schema`); here they are put together, and
what no QEMU could do is told at its line.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from matrix.errors import Place, Problem
from matrix.migrating import (
    NEWEST_COMMON,
    OTHER_HOST,
    Fault,
    Limits,
    Migration,
    MigrationMode,
    Strategy,
    Transport,
)
from matrix.model import Variant
from matrix.scenario.axes import MIGRATION_AXES
from matrix.scenario.compatibility import (
    END_A_WORKER,
    NEED_TWO_HOSTS,
    clash_of,
    for_variant,
    needs_of_fault,
    senseless_route,
    together,
)
from matrix.scenario.document import Mapping, Node, Scalar, Sequence, node_at
from matrix.scenario.migration_schema import DestinationSection, MigrationSection
from matrix.scenario.parameters import PARAMETERS
from matrix.scenario.scenario import Matrix
from matrix.scenario.wording import quoted

_POOLS = {"strategy": "strategies", "transport": "transports", "fault": "faults"}
"""Axis → the pool of a Migration that it stands for."""

_KEYS = {"strategy": "strategy", "transport": "transport", "fault": "faults"}
"""Axis → the key under ``migration``."""

_NOT_IN = {
    MigrationMode.ONCE: {
        "hops": "there is one hop",
        "duration": "there is one hop",
        "pace": "there is one hop",
    },
    MigrationMode.COOPERATIVE: {
        "hops": "the guest decides when it is migrated",
        "duration": "the guest decides when it is migrated",
        "pace": "the guest decides when it is migrated",
        "faults": "the guest waits for a hop that succeeds",
    },
    MigrationMode.CONTINUOUS: {},
}
"""Keys that say nothing in a mode, and why."""


def migration_of(section: MigrationSection) -> Migration:
    """The section as plain data, in seconds and in QEMU's own units."""
    default = Migration()
    mode = section.mode
    if mode is None:
        endless = section.hops is None and section.duration is None
        mode = MigrationMode.ONCE if endless else MigrationMode.CONTINUOUS
    destination = section.destination or DestinationSection.model_construct()
    given = section.parameters
    transports = (Transport.TLS_X509,) if destination.host else default.transports
    return Migration(
        mode=mode,
        strategies=tuple(section.strategy or default.strategies),
        transports=tuple(section.transport or transports),
        faults=tuple(section.faults or ()),
        destinations=tuple(destination.qemu or ()),
        host=destination.host or "",
        hosts=destination.hosts or default.hosts,
        machine=destination.machine or "",
        parameters=tuple(
            (name, getattr(given, name)) for name in PARAMETERS if name in given.model_fields_set
        )
        if given
        else (),
        hops=section.hops,
        duration=section.duration,
        pace=default.pace if section.pace is None else section.pace,
        explain_downtime=bool(section.explain_downtime),
        limits=_limits(section),
    )


@dataclass(frozen=True, slots=True)
class MigrationNodes:
    """What is looked at: the file, the section where it is right, and the matrix."""

    root: Node
    section: MigrationSection | None
    matrix: Matrix
    variants: tuple[Variant, ...]
    may_be_alone: bool
    """Whether its cases have their hosts for themselves, or what says so is wrong itself."""

    @property
    def written(self) -> bool:
        """Whether the scenario migrates at all."""
        return node_at(self.root, ("migration",)) is not None


def problems_of(nodes: MigrationNodes) -> list[Problem]:
    """All that makes no sense, in no order."""
    if not nodes.written:
        return list(_axes_without_section(nodes))
    if nodes.section is None:
        return []
    migration = migration_of(nodes.section)
    return [
        *_out_of_mode(nodes, migration),
        *_given_twice(nodes),
        *_hosts_without_host(nodes, migration),
        *_faults_between_hosts(nodes, migration),
        *_senseless_variants(nodes, migration),
        *_never_drawn(nodes, migration),
        *_idle_transports(nodes, migration),
        *_idle_parameters(nodes, migration),
    ]


def _limits(section: MigrationSection) -> Limits:
    given = section.limits
    if given is None:
        return Limits()
    downtime, blackout = getattr(given, "downtime", None), getattr(given, "blackout", None)
    return Limits(
        downtime_p99=downtime.p99 if downtime else None,
        downtime_max=downtime.max if downtime else None,
        blackout_max=blackout.max if blackout else None,
        total_time=getattr(given, "total-time", None),
        hops_per_minute=getattr(given, "hops-per-minute", None),
        clock_jump=getattr(given, "clock-jump", None),
    )


def _axes_without_section(nodes: MigrationNodes) -> Iterator[Problem]:
    for axis in MIGRATION_AXES:
        place = _axis_place(nodes, axis)
        if place is not None:
            message = f"{axis}: an axis of migrations, but there is no 'migration'"
            yield Problem(place, message, "add 'migration: {}', or leave the axis out")


def _out_of_mode(nodes: MigrationNodes, migration: Migration) -> Iterator[Problem]:
    refused = _NOT_IN[migration.mode]
    mode = migration.mode.value
    for key, why in refused.items():
        node = node_at(nodes.root, ("migration", key))
        if node is not None:
            message = f"{quoted(key)} says nothing with mode {quoted(mode)}: {why}"
            yield Problem(node.place, message, "leave it out, or write 'mode: continuous'")
    place = _axis_place(nodes, "fault")
    if "faults" in refused and place is not None:
        message = f"fault: no faults with mode {quoted(mode)}: {refused['faults']}"
        yield Problem(place, message, "leave the axis out, or write 'mode: continuous'")
    rate = node_at(nodes.root, ("migration", "limits", "hops-per-minute"))
    if rate is not None and migration.mode is not MigrationMode.CONTINUOUS:
        message = f"'hops-per-minute' says nothing with mode {quoted(mode)}"
        yield Problem(rate.place, message, "leave it out, or write 'mode: continuous'")


def _given_twice(nodes: MigrationNodes) -> Iterator[Problem]:
    axes = dict(nodes.matrix.axes)
    keys = {axis: ("migration", key) for axis, key in _KEYS.items()}
    for axis, path in {**keys, "destination": ("migration", "destination", "qemu")}.items():
        node = node_at(nodes.root, path)
        if axis in axes and node is not None:
            message = f"{path[-1]}: {axis} is an axis of the matrix too"
            yield Problem(node.place, message, "give it in one of the two places")
    machine = node_at(nodes.root, ("migration", "destination", "machine"))
    place = _axis_place(nodes, "machine")
    if isinstance(machine, Scalar) and machine.text != NEWEST_COMMON and place is not None:
        message = "machine: machine is an axis of the matrix too"
        yield Problem(machine.place, message, f"allowed then: {NEWEST_COMMON}")
    entries = node_at(nodes.root, ("matrix", "include"))
    for index, entry in enumerate(nodes.matrix.include):
        values = dict(entry.values)
        strategy = values.get("strategy")
        if isinstance(strategy, Strategy) and strategy.through_file and "transport" in values:
            node = node_at(entries or nodes.root, (index, "transport")) or nodes.root
            message = senseless_route(strategy, Transport.UNIX)
            yield Problem(node.place, message, "leave it out")


def _hosts_without_host(nodes: MigrationNodes, migration: Migration) -> Iterator[Problem]:
    hosts = node_at(nodes.root, ("migration", "destination", "hosts"))
    if hosts is not None and not migration.host:
        message = "hosts: the guest stays on its host"
        yield Problem(hosts.place, message, f"leave it out, or add 'host: {OTHER_HOST}'")


def _faults_between_hosts(nodes: MigrationNodes, migration: Migration) -> Iterator[Problem]:
    """Faults of a link between hosts where the guest stays on one, and those that end what else
    runs on its hosts where that is not ruled out."""
    for fault, place in _places_of_faults(nodes, migration):
        if fault in NEED_TWO_HOSTS and not migration.host:
            message = f"fault {quoted(fault)} is between two hosts, and the guest stays on its host"
            allowed = f"leave it out, or add 'destination: {{host: {OTHER_HOST}}}'"
            yield Problem(place, message, allowed)
        elif fault in END_A_WORKER and not nodes.may_be_alone:
            message = f"fault {quoted(fault)} ends what else runs on the guest's hosts"
            yield Problem(place, message, "leave it out, or add 'run: {alone: true}'")


def _places_of_faults(nodes: MigrationNodes, migration: Migration) -> Iterator[tuple[Fault, Place]]:
    """Every fault that the scenario names, and where it is first named."""
    axis = dict(nodes.matrix.axes).get("fault", ())
    included = (dict(entry.values).get("fault") for entry in nodes.matrix.include)
    for fault in dict.fromkeys((*axis, *included)):
        if isinstance(fault, Fault):
            yield fault, _value_place(nodes, "fault", fault)
    node = node_at(nodes.root, ("migration", "faults"))
    items = node.items if isinstance(node, Sequence) else (node,) if node else ()
    yield from zip(migration.faults, (item.place for item in items), strict=False)


def _senseless_variants(nodes: MigrationNodes, migration: Migration) -> Iterator[Problem]:
    seen: set[tuple[object, ...]] = set()
    for variant in nodes.variants:
        key = (variant.strategy, variant.transport, variant.fault)
        if key in seen or not any(key):
            continue
        seen.add(key)
        if for_variant(migration, variant).strategies:
            continue
        clash = clash_of(migration, variant)
        if not clash.axes:
            continue  # the pools alone, which are told of there
        first, *others = clash.axes
        place = _value_place(nodes, first, getattr(variant, first))
        entry = ", ".join(f"{axis}: {getattr(variant, axis).value}" for axis in (*others, first))
        if not _is_combined(nodes, variant):
            allowed = "leave the entry out, or change it"  # excludes come before includes
        elif others:
            allowed = f"leave it out, or write exclude: [{{{entry}}}]"
        else:
            allowed = "leave it out, or add to the pools under 'migration' what it needs"
        yield Problem(place, clash.message, allowed)


def _is_combined(nodes: MigrationNodes, variant: Variant) -> bool:
    """Whether the axes alone give such a variant, so that an exclude can take it away."""
    axes = dict(nodes.matrix.axes)
    given = {axis: getattr(variant, axis) for axis in _POOLS}
    return all(value is None or value in axes.get(axis, ()) for axis, value in given.items())


def _never_drawn(nodes: MigrationNodes, migration: Migration) -> Iterator[Problem]:
    """Values of pools that no hop of any variant could draw."""
    seen = {(v.strategy, v.transport, v.fault): v for v in nodes.variants}
    resolved = [for_variant(migration, variant) for variant in seen.values()]
    for axis, pool in _POOLS.items():
        if axis in dict(nodes.matrix.axes):
            continue
        drawn = {value for one in resolved for value in getattr(one, pool)}
        node = node_at(nodes.root, ("migration", _KEYS[axis]))
        items = node.items if isinstance(node, Sequence) else (node,) if node else ()
        for item, value in zip(items, getattr(migration, pool), strict=False):
            if value not in drawn:
                message, allowed = _why_never(value, migration)
                yield Problem(item.place, message, allowed)


def _idle_transports(nodes: MigrationNodes, migration: Migration) -> Iterator[Problem]:
    """Values of an axis that falls away, as all strategies go through files."""
    axes = dict(nodes.matrix.axes)
    axis = tuple(each for each in axes.get("strategy", ()) if isinstance(each, Strategy))
    strategies = axis or migration.strategies
    if not all(strategy.through_file for strategy in strategies):
        return
    for value in axes.get("transport", ()):
        if isinstance(value, Transport):
            message, _ = _why_never(value, replace(migration, strategies=strategies))
            allowed = "leave the axis out, or add a strategy that takes it"
            yield Problem(_value_place(nodes, "transport", value), message, allowed)


def _why_never(value: Strategy | Transport | Fault, migration: Migration) -> tuple[str, str]:
    if isinstance(value, Fault):
        return (
            f"fault {value.value!r} fits nothing here: it needs {needs_of_fault(value)}",
            "add that, or leave the fault out",
        )
    if isinstance(value, Transport):
        reason = together(senseless_route(one, value) for one in migration.strategies)
        return (
            reason or f"no strategy here goes over transport {value.value!r}",
            "leave it out, or add a strategy that takes it",
        )
    reason = together(senseless_route(value, one) for one in migration.transports)
    takes = [one.value for one in Transport if not senseless_route(value, one)]
    return (
        reason or f"strategy {value.value!r} goes over none of the transports here",
        f"leave it out, or add one of {', '.join(takes)}",
    )


def _idle_parameters(nodes: MigrationNodes, migration: Migration) -> Iterator[Problem]:
    strategies = {
        strategy
        for variant in nodes.variants
        for strategy in for_variant(migration, variant).strategies
    }
    section = node_at(nodes.root, ("migration", "parameters"))
    if not isinstance(section, Mapping) or not strategies:
        return
    for key, _ in section.entries:
        takers = PARAMETERS[key.text].strategies
        if not takers & strategies:
            names = " or ".join(one.value for one in Strategy if one in takers)
            message = f"parameters: {quoted(key.text)} is for strategy {names}"
            yield Problem(key.place, message, "leave it out, or add that strategy")


def _axis_place(nodes: MigrationNodes, axis: str) -> Place | None:
    """Where an axis is first given, be it in an include; None where it is not."""
    node = node_at(nodes.root, ("matrix", axis))
    for index in range(len(nodes.matrix.include)):
        node = node or node_at(nodes.root, ("matrix", "include", index, axis))
    return node.place if node else None


def _value_place(nodes: MigrationNodes, axis: str, value: object) -> Place:
    """Where a value of an axis stands."""
    values = dict(nodes.matrix.axes).get(axis, ())
    if value in values:
        node = node_at(nodes.root, ("matrix", axis, values.index(value)))
        return (node or nodes.root).place
    for index, entry in enumerate(nodes.matrix.include):
        if dict(entry.values).get(axis) == value:
            node = node_at(nodes.root, ("matrix", "include", index, axis))
            return (node or nodes.root).place
    return nodes.root.place
