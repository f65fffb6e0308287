"""What may come next, and what must follow: the state of a guest as the model knows it. Pure.

The outcome of a hop follows from its fault (:mod:`matrix.migration.faults.table`), so that a whole
sequence can be drawn before any of it is done, and a shortened one checked without a guest.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from matrix.explore.cells import Cell, Coverage
from matrix.explore.step import Operation, Step, Steps
from matrix.migrating import Fault, HopOutcome
from matrix.migration.faults.table import RULES
from matrix.scenario.compatibility import Route
from matrix.scenario.parameters import PARAMETERS

MIB = 1 << 20
VALUES: Mapping[str, tuple[int, ...]] = {
    "max-bandwidth": (64 * MIB, 256 * MIB, 1 << 30),
    "max-postcopy-bandwidth": (0, 64 * MIB),
    "downtime-limit": (300, 500, 2000),
    "multifd-channels": (1, 2, 4, 8),
    "multifd-zlib-level": (1, 9),
    "xbzrle-cache-size": (1 * MIB, 64 * MIB),
    "cpu-throttle-initial": (1, 20, 50),
    "cpu-throttle-increment": (1, 50, 99),
    "max-cpu-throttle": (50, 99),  # QEMU refuses less than the initial one
    "throttle-trigger-threshold": (1, 50, 100),
    "announce-rounds": (0, 5),
}
"""Values that parameters are drawn from, in QEMU's units. Rates and downtimes are such that the
embedded guest, which writes 16 MiB/s to 4 MiB, converges on a crowded host too."""
PARAMETER_SHARE = 0.3
"""Of the parameters that mean something to a hop."""
PAUSES = (20, 100, 300)
"""Milliseconds that a guest is left alone."""


@dataclass(frozen=True, slots=True)
class Command:
    """A QMP command that changes nothing while no hop is under way."""

    arguments: Mapping[str, object]
    refused: bool | None = True
    """Whether QEMU must refuse it; None: it may do either."""


COMMANDS: Mapping[str, Command] = {
    "migrate-continue": Command({"state": "pre-switchover"}),
    # Taken after a hop that was to go by postcopy, as a wish that the next one forgets
    # (qmp_migrate_start_postcopy and migrate_init in migration/migration.c).
    "migrate-start-postcopy": Command({}, refused=None),
    "migrate-pause": Command({}),
    "migrate-recover": Command({"uri": "tcp:127.0.0.1:1"}),
    "migrate-incoming": Command({"uri": "tcp:127.0.0.1:0"}),
    "migrate_cancel": Command({}, refused=False),
    "query-migrate": Command({}, refused=False),
}
WEIGHTS: Mapping[str, int] = {"hop": 11, "fault": 4, "stop": 2, "cont": 6, "work": 2, "command": 2}
"""How often each kind is drawn, of those that are possible."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Way:
    """A hop that is possible between two QEMUs."""

    route: Route
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class World:
    """What a guest may be put through."""

    architecture: str
    first: str
    """Name of the QEMU that starts it."""
    ways: Mapping[Pair, tuple[Way, ...]]
    """By names of QEMUs, source and destination."""
    parameters: Mapping[Pair, frozenset[str]] = field(default_factory=dict)
    """Migration parameters that both know."""

    def cell(self, state: "State", step: Step) -> Cell:
        """What doing that step in that state covers."""
        pair = f"{state.place} → {step.destination}" if step.destination else state.place
        return Cell(self.architecture, "running" if state.running else "paused", pair, step.what)

    def cells(self) -> frozenset[Cell]:
        """All that there is to be covered."""
        places = {self.first, *(destination for _, destination in self.ways)}
        states = [State(place, running) for place in places for running in (True, False)]
        return frozenset(
            self.cell(state, step) for state in states for step in possible(self, state)
        )


@dataclass(frozen=True, slots=True)
class State:
    """Where a guest is, and how."""

    place: str
    """Name of the QEMU that has it."""
    running: bool = True
    lost: bool = False
    """Nobody has it any more, as it had to be: nothing is possible."""


def possible(world: World, state: State) -> Iterator[Step]:
    """All that may come next, without parameters and the shortest of all pauses."""
    if state.lost:
        return
    if state.running:
        yield Step(Operation.STOP)
        for (source, destination), ways in world.ways.items():
            if source == state.place:
                yield from (_hop(destination, way) for way in ways)
    else:
        yield Step(Operation.CONT)
    yield Step(Operation.WORK, milliseconds=PAUSES[0])
    for command in COMMANDS:
        yield Step(Operation.COMMAND, command=command)


def after(state: State, step: Step) -> State:
    """What must follow."""
    match step.operation:
        case Operation.STOP:
            return replace(state, running=False)
        case Operation.CONT:
            return replace(state, running=True)
        case Operation.HOP:
            outcomes = (HopOutcome.COMPLETED,) if step.fault is None else RULES[step.fault].outcomes
            if HopOutcome.LOST in outcomes:
                return replace(state, lost=True)
            return State(step.destination) if HopOutcome.COMPLETED in outcomes else state
        case Operation.WORK | Operation.COMMAND:
            return state
        case _:
            assert_never(step.operation)


def states(world: World, steps: Steps) -> Iterator[State]:
    """The state before each step, and the one after the last."""
    state = State(world.first)
    yield state
    for step in steps:
        state = after(state, step)
        yield state


def valid(world: World, state: State, step: Step) -> bool:
    """Whether that step may come next."""
    if state.lost:
        return False
    match step.operation:
        case Operation.STOP:
            return state.running
        case Operation.CONT:
            return not state.running
        case Operation.COMMAND:
            return step.command in COMMANDS
        case Operation.WORK:
            return True
        case Operation.HOP:
            pair = (state.place, step.destination)
            known = world.parameters.get(pair, frozenset())
            hops = (_hop(step.destination, way).what for way in world.ways.get(pair, ()))
            known_all = all(name in known for name, _ in step.parameters)
            return state.running and step.what in hops and known_all
        case _:
            assert_never(step.operation)


def repaired(world: World, steps: Steps) -> Steps:
    """The sequence without the steps that are not possible where they stand."""
    state, kept = State(world.first), []
    for step in steps:
        if valid(world, state, step):
            kept.append(step)
            state = after(state, step)
    return tuple(kept)


def draw(world: World, length: int, coverage: Coverage, generator: random.Random) -> Steps:
    """A valid sequence; what was seen least is drawn most often.

    Args:
        world: what is possible.
        length: steps, unless a fault before loses the guest.
        coverage: what was seen; not changed, so that one sequence may have a step twice.
        generator: of random numbers; the same one draws the same sequence.
    """
    state, steps = State(world.first), list[Step]()
    while len(steps) < length and not state.lost:
        kinds: dict[str, list[Step]] = {}
        for step in possible(world, state):
            kinds.setdefault("fault" if step.fault else step.operation.value, []).append(step)
        kind = generator.choices(list(kinds), [WEIGHTS[each] for each in kinds])[0]
        weights = [coverage.weight(world.cell(state, step)) for step in kinds[kind]]
        step = _detailed(world, state, generator.choices(kinds[kind], weights)[0], generator)
        steps.append(step)
        state = after(state, step)
    return tuple(steps)


def _hop(destination: str, way: Way) -> Step:
    route = way.route
    return Step(Operation.HOP, destination, route.strategy, route.transport, way.fault)


def _detailed(world: World, state: State, step: Step, generator: random.Random) -> Step:
    if step.operation is Operation.WORK:
        return replace(step, milliseconds=generator.choice(PAUSES))
    if step.strategy is None or step.fault is not None:  # faults set what they need
        return step
    known = world.parameters.get((state.place, step.destination), frozenset())
    names = [
        name
        for name in VALUES
        if name in known and step.strategy in PARAMETERS[name].strategies
        if generator.random() < PARAMETER_SHARE
    ]
    return replace(step, parameters=tuple((n, generator.choice(VALUES[n])) for n in names))
