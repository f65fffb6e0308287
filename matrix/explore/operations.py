"""The operations, one entry each: when it may be done, what is done, and what must follow.

The outcome of each follows from the model, so that a whole sequence can be drawn before any of it
is done, and a shortened one checked without a guest. A further operation is a member of
:class:`~matrix.explore.step.Operation` and an entry of :data:`OPERATIONS`.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from matrix.errors import MonitorError
from matrix.explore.failure import Broken, Invariant
from matrix.explore.hands import Hands
from matrix.explore.hotplug import Part
from matrix.explore.step import Operation, Step
from matrix.explore.world import Saved, State, Way, World
from matrix.migrating import Fault, HopOutcome
from matrix.migration.faults.table import RULES

PAUSES = (20, 100, 300)
"""Milliseconds that a guest is left alone."""
THROTTLING = ("cpu-throttle-initial", "cpu-throttle-increment", "max-cpu-throttle")


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
    "balloon": Command({"value": 32 << 20}),  # no guest of ours has a driver, nor a device
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation."""

    weight: int
    """How often it is drawn, of those that are possible."""
    offers: Callable[[World, State], Iterable[Step]]
    """The steps that may come next, without parameters, and the shortest of all pauses. Not asked
    of a guest that is lost, nor of an operation that the world cannot do."""
    act: Callable[[Hands, Step], Awaitable[None]] | None
    """Does it; None of hops, which a life makes."""
    after: Callable[[World, State, Step], State] = lambda _, state, __: state
    """What must follow."""


def _hops(world: World, state: State) -> Iterator[Step]:
    if state.running:
        for (source, destination), ways in world.ways.items():
            if source == state.place:
                yield from (hop_to(destination, way) for way in ways if _starts(world, state, way))


def _starts(world: World, state: State, way: Way) -> bool:
    """Whether a destination of that way starts: another machine need not have the bus (``pci.0``)
    that the device is on."""
    fixed = Part.DEVICE in state.parts and not world.hotplug.port
    return not (fixed and way.fault is Fault.MACHINE_MISMATCH)


def hop_to(destination: str, way: Way) -> Step:
    """The step that goes that way."""
    route = way.route
    return Step(Operation.HOP, destination, route.strategy, route.transport, way.fault)


def _hopped(world: World, state: State, step: Step) -> State:
    outcomes = (HopOutcome.COMPLETED,) if step.fault is None else RULES[step.fault].outcomes
    if HopOutcome.LOST in outcomes:
        return replace(state, lost=True)
    if HopOutcome.COMPLETED in outcomes:
        return replace(state, place=step.destination, unloadable=False)
    return replace(state, unloadable=state.place in world.remembering)


async def _work(hands: Hands, step: Step) -> None:
    await hands.current.board.until(lambda: hands.maker.over, step.milliseconds / 1000)


async def _command(hands: Hands, step: Step) -> None:
    name, command = step.command, COMMANDS[step.command]
    refused = ""
    try:
        await hands.current.execute(name, command.arguments)
    except MonitorError as error:
        if not error.error_class:
            raise
        refused = str(error)
    if command.refused and not refused:
        raise Broken(Invariant.COMMAND, f"{name} was taken while no hop is under way")
    if refused and command.refused is False:
        raise Broken(Invariant.COMMAND, f"{name} was refused: {refused}")


def _reset(world: World, state: State, _: Step) -> State:
    gone = {Part.DEVICE} if state.leaving else set()
    parts = state.parts - gone
    in_use = Part.DEVICE in parts and not world.hotplug.at_reset
    booting = not state.running and world.hotplug.at_reset
    return replace(state, parts=parts, leaving=False, in_use=in_use, booting=booting)


def _save(_: World, state: State, __: Step) -> State:
    return replace(state, saved=_saved(state))


def _saved(state: State) -> Saved:
    return Saved(state.place, state.parts, state.leaving, state.in_use, state.booting)


def _load(world: World, state: State) -> Iterator[Step]:
    saved = state.saved
    # QEMU resets the machine first, and with that a device goes that was asked to, which the
    # snapshot has all the same.
    if state.unloadable or state.leaving:
        return
    # With other devices QEMU refuses it, and has reset the guest by then.
    if saved is None or _saved(replace(state, place=saved.place)) != saved:
        return
    if world.goes(saved.place, state.place):
        yield Step(Operation.LOAD)


def _plug(world: World, state: State) -> Iterator[Step]:
    for part in sorted(world.hotplug.parts - state.parts):
        yield Step(Operation.PLUG, part=part)


def _plugged(_: World, state: State, step: Step) -> State:
    return replace(state, parts=state.parts | {Part(step.part)})


def _unplug(_: World, state: State) -> Iterator[Step]:
    """Memory and vCPUs never go without the guest."""
    if state.booting:
        return
    if Part.DEVICE in state.parts and not state.leaving and not state.in_use:
        yield Step(Operation.UNPLUG, part=Part.DEVICE)


def _unplugged(world: World, state: State, step: Step) -> State:
    if world.hotplug.at_reset:
        return replace(state, leaving=True)
    return replace(state, parts=state.parts - {Part(step.part)})


async def _throttle(hands: Hands, step: Step) -> None:
    wanted = dict(step.parameters)
    await hands.execute("migrate-set-parameters", wanted)
    told = await hands.execute("query-migrate-parameters")
    if wrong := {name: told.get(name) for name in wanted if told.get(name) != wanted[name]}:
        raise Broken(Invariant.COMMAND, f"parameters are not as they were set: {wrong}")


def _always(step: Step) -> Callable[[World, State], Iterable[Step]]:
    return lambda _world, _state: (step,)


OPERATIONS: Mapping[Operation, Entry] = {
    Operation.HOP: Entry(15, _hops, None, _hopped),
    Operation.STOP: Entry(
        2,
        lambda _, state: (Step(Operation.STOP),) if state.running else (),
        lambda hands, _: hands.execute("stop"),
        lambda _, state, __: replace(state, running=False),
    ),
    Operation.CONT: Entry(
        6,
        lambda _, state: () if state.running else (Step(Operation.CONT),),
        lambda hands, _: hands.execute("cont"),
        lambda _, state, __: replace(state, running=True, booting=False),
    ),
    Operation.WORK: Entry(2, _always(Step(Operation.WORK, milliseconds=PAUSES[0])), _work),
    Operation.COMMAND: Entry(
        2, lambda *_: (Step(Operation.COMMAND, command=name) for name in COMMANDS), _command
    ),
    Operation.RESET: Entry(
        1, _always(Step(Operation.RESET)), lambda hands, _: hands.reset(), _reset
    ),
    Operation.SAVE: Entry(1, _always(Step(Operation.SAVE)), lambda hands, _: hands.save(), _save),
    Operation.LOAD: Entry(2, _load, lambda hands, _: hands.load()),
    Operation.PLUG: Entry(2, _plug, lambda hands, step: hands.plug(Part(step.part)), _plugged),
    Operation.UNPLUG: Entry(
        2, _unplug, lambda hands, step: hands.unplug(Part(step.part)), _unplugged
    ),
    Operation.THROTTLE: Entry(1, _always(Step(Operation.THROTTLE)), _throttle),
    Operation.RECONNECT: Entry(
        1, _always(Step(Operation.RECONNECT)), lambda hands, _: hands.reconnect()
    ),
}


def possible(world: World, state: State) -> Iterator[Step]:
    """All that may come next, as :attr:`Entry.offers`."""
    if state.lost:
        return
    for operation, entry in OPERATIONS.items():
        if operation not in world.impossible:
            yield from entry.offers(world, state)


def after(world: World, state: State, step: Step) -> State:
    """What must follow."""
    return OPERATIONS[step.operation].after(world, state, step)
