"""Sequences of operations: which there are, drawn at random, and mended after a cut. Pure.

What may come next, and what must follow, is in :mod:`matrix.explore.operations`.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

from matrix.explore.cells import Cell, Coverage
from matrix.explore.operations import OPERATIONS, PAUSES, THROTTLING, after, possible
from matrix.explore.step import Operation, Step, Steps
from matrix.explore.world import State, World
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
FAULT, FAULTS_OF_HOPS = "fault", 4 / 15
"""Hops with a fault are drawn apart from those without one, with that share of their weight."""


def cells(world: World) -> frozenset[Cell]:
    """All that there is to be covered."""
    found: set[Cell] = set()
    start = State(world.first)
    seen, ahead, hopped = {start}, [start], set[tuple[str, bool]]()
    while ahead:
        state = ahead.pop()
        where = state.place, state.running
        for step in possible(world, state):
            if step.operation is Operation.HOP and where in hopped:  # nothing else decides them
                continue
            found.add(world.cell(state, step))
            then = after(world, state, step)
            if then.saved is not None and step.operation is not Operation.SAVE:
                # What was saved in another state can be loaded in that one.
                then = replace(then, saved=None)
            if then not in seen:
                seen.add(then)
                ahead.append(then)
        hopped.add(where)
    return frozenset(found)


def states(world: World, steps: Steps) -> Iterator[State]:
    """The state before each step, and the one after the last."""
    state = State(world.first)
    yield state
    for step in steps:
        state = after(world, state, step)
        yield state


def valid(world: World, state: State, step: Step) -> bool:
    """Whether that step may come next."""
    if state.lost or step.operation in world.impossible:
        return False
    if step.operation is Operation.HOP:
        known = world.parameters.get((state.place, step.destination), frozenset())
        if any(name not in known for name, _ in step.parameters):
            return False
    offered = OPERATIONS[step.operation].offers(world, state)
    return _bare(step) in map(_bare, offered)


def _bare(step: Step) -> Step:
    return replace(step, parameters=(), milliseconds=0)


def repaired(world: World, steps: Steps) -> Steps:
    """The sequence without the steps that are not possible where they stand."""
    state, kept = State(world.first), []
    for step in steps:
        if valid(world, state, step):
            kept.append(step)
            state = after(world, state, step)
    return tuple(kept)


def first_impossible(world: World, steps: Steps) -> int | None:
    """Index of the first step that is not possible where it stands; None where all are."""
    state = State(world.first)
    for place, step in enumerate(steps):
        if not valid(world, state, step):
            return place
        state = after(world, state, step)
    return None


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
            kinds.setdefault(FAULT if step.fault else step.operation.value, []).append(step)
        kind = generator.choices(list(kinds), [_weight(each) for each in kinds])[0]
        weights = [coverage.weight(world.cell(state, step)) for step in kinds[kind]]
        step = _detailed(world, state, generator.choices(kinds[kind], weights)[0], generator)
        steps.append(step)
        state = after(world, state, step)
    return tuple(steps)


def _weight(kind: str) -> float:
    hops = OPERATIONS[Operation.HOP].weight
    if kind == FAULT:
        return hops * FAULTS_OF_HOPS
    if kind == Operation.HOP:
        return hops * (1 - FAULTS_OF_HOPS)
    return OPERATIONS[Operation(kind)].weight


def _detailed(world: World, state: State, step: Step, generator: random.Random) -> Step:
    if step.operation is Operation.WORK:
        return replace(step, milliseconds=generator.choice(PAUSES))
    if step.operation is Operation.THROTTLE:
        parameters = tuple((name, generator.choice(VALUES[name])) for name in THROTTLING)
        return replace(step, parameters=parameters)
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
