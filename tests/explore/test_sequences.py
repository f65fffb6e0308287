"""What may come next: drawn sequences are valid, repaired ones too, and the unseen comes first."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.explore.cells import Coverage
from matrix.explore.hotplug import Hotplug, Part
from matrix.explore.operations import after, hop_to, possible
from matrix.explore.sequences import VALUES, cells, draw, first_impossible, repaired, states, valid
from matrix.explore.step import Operation, Step
from matrix.explore.world import Saved, State, Way, World
from matrix.migrating import Fault, Strategy, Transport
from matrix.scenario.compatibility import Route

TCP = Route(Strategy.PRECOPY, Transport.TCP)
MULTIFD = Route(Strategy.MULTIFD, Transport.TCP)
WAYS = (Way(TCP), Way(TCP, Fault.CANCEL_IN_ACTIVE), Way(TCP, Fault.KILL_SOURCE_IN_ACTIVE))
WORLD = World(
    "x86_64",
    "old",
    {
        ("old", "new"): (*WAYS, Way(Route(Strategy.FILE, None))),
        ("new", "new"): (*WAYS, Way(MULTIFD)),
        ("new", "old"): WAYS,
    },
    {("new", "new"): frozenset({"multifd-channels", "downtime-limit"})},
    Hotplug(frozenset(Part), "bus=port", at_reset=True),
)
DEVICE = frozenset({Part.DEVICE})


def drawn(seed: int, length: int = 12) -> tuple[Step, ...]:
    return draw(WORLD, length, Coverage(), random.Random(seed))


@given(st.integers(0, 2**32))
def test_a_drawn_sequence_is_valid_and_stays_as_it_is(seed: int) -> None:
    steps = drawn(seed)
    assert repaired(WORLD, steps) == steps
    lost = [state.lost for state in states(WORLD, steps)]
    assert not any(lost[:-1])
    assert len(steps) == 12 or lost[-1]


@given(st.integers(0, 2**32), st.sets(st.integers(0, 11)))
def test_what_is_left_of_a_sequence_is_repaired(seed: int, missing: set[int]) -> None:
    left = tuple(step for place, step in enumerate(drawn(seed)) if place not in missing)
    steps = repaired(WORLD, left)
    assert all(
        valid(WORLD, state, step) for state, step in zip(states(WORLD, steps), steps, strict=False)
    )


def test_the_first_step_that_is_not_possible() -> None:
    stop, cont = Step(Operation.STOP), Step(Operation.CONT)
    assert first_impossible(WORLD, (stop, cont, stop, stop, stop)) == 3
    assert first_impossible(WORLD, (stop, cont, stop)) is None


def test_the_same_seed_draws_the_same() -> None:
    assert drawn(1) == drawn(1) != drawn(2)


def test_where_the_guest_is_follows_from_the_fault() -> None:
    def hop(fault: Fault | None) -> State:
        step = Step(Operation.HOP, "new", Strategy.PRECOPY, Transport.TCP, fault)
        return after(WORLD, State("old"), step)

    assert hop(None) == State("new")
    assert hop(Fault.CHANGE_BANDWIDTH) == State("new")
    assert hop(Fault.CANCEL_IN_ACTIVE) == State("old")
    assert hop(Fault.KILL_SOURCE_IN_ACTIVE).lost


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (State("old"), Step(Operation.CONT)),
        (State("old", running=False), Step(Operation.STOP)),
        (State("old", running=False), Step(Operation.HOP, "new", Strategy.FILE)),
        (State("old"), Step(Operation.HOP, "new", Strategy.MULTIFD, Transport.TCP)),
        (State("old"), Step(Operation.HOP, "nowhere", Strategy.FILE)),
        (State("old"), Step(Operation.COMMAND, command="quit")),
        (State("old", lost=True), Step(Operation.WORK)),
        (State("old"), Step(Operation.LOAD)),
        (State("old", parts=DEVICE, saved=Saved("old")), Step(Operation.LOAD)),
        (State("old", saved=Saved("unknown")), Step(Operation.LOAD)),
        (
            State("old", parts=DEVICE, leaving=True, saved=Saved("old", DEVICE, leaving=True)),
            Step(Operation.LOAD),
        ),
        (State("old", parts=DEVICE), Step(Operation.PLUG, part=Part.DEVICE)),
        (State("old"), Step(Operation.UNPLUG, part=Part.DEVICE)),
        (State("old", parts=DEVICE, leaving=True), Step(Operation.UNPLUG, part=Part.DEVICE)),
        (State("old", parts=DEVICE, in_use=True), Step(Operation.UNPLUG, part=Part.DEVICE)),
        (State("old", parts=frozenset(Part)), Step(Operation.UNPLUG, part=Part.MEMORY)),
        (
            State("old"),
            Step(Operation.HOP, "new", Strategy.FILE, parameters=(("downtime-limit", 300),)),
        ),
    ],
)
def test_what_is_not_possible(state: State, step: Step) -> None:
    assert not valid(WORLD, state, step)


@pytest.mark.parametrize("at_reset", [False, True])
def test_a_device_that_is_unplugged(at_reset: bool) -> None:
    world = replace(WORLD, hotplug=replace(WORLD.hotplug, at_reset=at_reset))
    plug, unplug = (Step(each, part=Part.DEVICE) for each in (Operation.PLUG, Operation.UNPLUG))
    *_, plugged = states(world, (plug,))
    *_, asked = states(world, (plug, unplug))
    *_, reset = states(world, (plug, unplug, Step(Operation.RESET)))
    *_, used = states(world, (plug, Step(Operation.RESET)))
    assert plugged == State("old", parts=DEVICE)
    assert asked == (replace(plugged, leaving=True) if at_reset else State("old"))
    assert reset == State("old")
    assert used == replace(plugged, in_use=not at_reset)


@pytest.mark.parametrize("at_reset", [False, True])
def test_a_guest_that_was_reset_while_it_was_stopped_has_a_reset_to_come(at_reset: bool) -> None:
    """SeaBIOS makes it, and a device that was asked to go would go with it."""
    world = replace(WORLD, hotplug=replace(WORLD.hotplug, at_reset=at_reset))
    stop, reset, cont, save, load = map(
        Step,
        (Operation.STOP, Operation.RESET, Operation.CONT, Operation.SAVE, Operation.LOAD),
    )
    plug, unplug = (Step(each, part=Part.DEVICE) for each in (Operation.PLUG, Operation.UNPLUG))
    *_, stopped = states(world, (stop, reset, plug))
    *_, again = states(world, (stop, reset, plug, save, cont))
    assert valid(world, stopped, unplug) is not at_reset
    assert valid(world, again, unplug)
    assert valid(world, again, load) is not at_reset


def test_another_machine_has_no_place_for_a_device_that_is_plugged() -> None:
    step = Step(Operation.HOP, "new", Strategy.PRECOPY, Transport.TCP, Fault.MACHINE_MISMATCH)
    world = replace(WORLD, ways={("old", "new"): (Way(TCP, Fault.MACHINE_MISMATCH),)})
    assert valid(world, State("old"), step)
    assert not valid(world, State("old", parts=DEVICE), step)
    with_port = replace(world, hotplug=replace(world.hotplug, port=True))
    assert valid(with_port, State("old", parts=DEVICE), step)


def test_what_was_saved_may_be_loaded_where_it_can_go() -> None:
    hop = Step(Operation.HOP, "new", Strategy.PRECOPY, Transport.TCP)
    *_, saved = states(WORLD, (Step(Operation.SAVE), hop))
    assert saved == State("new", saved=Saved("old"))
    assert valid(WORLD, saved, Step(Operation.LOAD))
    assert not valid(replace(WORLD, ways={}), saved, Step(Operation.LOAD))


def test_what_was_saved_is_not_loaded_after_a_hop_that_failed() -> None:
    """By a QEMU that remembers it; the next one does not know of it."""
    world = replace(WORLD, remembering=frozenset({"old"}))
    load = Step(Operation.LOAD)
    saved = after(world, State("old"), Step(Operation.SAVE))
    failed = after(world, saved, hop_to("new", Way(TCP, Fault.CANCEL_IN_ACTIVE)))
    assert valid(world, saved, load)
    assert not valid(world, failed, load)
    assert valid(world, after(world, failed, hop_to("new", Way(TCP))), load)
    assert valid(WORLD, after(WORLD, saved, hop_to("new", Way(TCP, Fault.CANCEL_IN_ACTIVE))), load)


def test_what_the_world_cannot_do_is_not_offered() -> None:
    world = replace(WORLD, impossible={Operation.SAVE: "too old"})
    assert Operation.SAVE not in {step.operation for step in possible(world, State("old"))}
    assert not valid(world, State("old"), Step(Operation.SAVE))


def test_parameters_are_those_that_both_sides_know_and_the_strategy_means() -> None:
    found = {
        (step.strategy, name, value)
        for seed in range(300)
        for step in drawn(seed)
        for name, value in step.parameters
        if step.operation is Operation.HOP
    }
    assert {name for _, name, _ in found} == {"multifd-channels", "downtime-limit"}
    assert {strategy for strategy, name, _ in found if name == "multifd-channels"} == {
        Strategy.MULTIFD
    }
    assert all(value in VALUES[name] for _, name, value in found)


def test_qemu_takes_all_values_together() -> None:
    """As it checks them: ``migrate_params_check`` in migration/options.c."""
    assert max(VALUES["cpu-throttle-initial"]) <= min(VALUES["max-cpu-throttle"])


def test_the_unseen_comes_first() -> None:
    coverage = Coverage(cells(WORLD))
    generator = random.Random(1)
    while coverage.covered < len(coverage.cells):
        steps = draw(WORLD, 12, coverage, generator)
        for state, step in zip(states(WORLD, steps), steps, strict=False):
            coverage.seen[WORLD.cell(state, step)] += 1
        assert coverage.seen.total() < 40 * len(coverage.cells)
    one = Step(Operation.HOP, "new", Strategy.MULTIFD, Transport.TCP)
    seen = Coverage()
    seen.seen.update(dict.fromkeys(cells(WORLD), 1000))
    del seen.seen[WORLD.cell(State("new"), one)]
    first_hops = [
        next((s for p, s in zip(states(WORLD, t), t, strict=False) if _at_new(p, s)), None)
        for t in (draw(WORLD, 12, seen, random.Random(seed)) for seed in range(50))
    ]
    assert {step.what for step in first_hops if step is not None} == {one.what}


def _at_new(state: State, step: Step) -> bool:
    return state.place == "new" and step.operation is Operation.HOP and step.fault is None


def test_a_step_in_words() -> None:
    step = Step(
        Operation.HOP, "new", Strategy.PRECOPY, Transport.TCP, Fault.DROP_IN_PRECOPY, (("a", 1),)
    )
    assert str(step) == "hop by precopy over tcp with drop-in-precopy to new, a=1"
    assert str(Step(Operation.HOP, "new", Strategy.FILE)) == "hop by file over a file to new"
    assert str(Step(Operation.WORK, milliseconds=20)) == "work for 20 ms"
    assert str(Step(Operation.COMMAND, command="query-migrate")) == "query-migrate"
