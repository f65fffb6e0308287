"""Planted faults are found and shrunk; with guests that are a few lines of Python, and no clock."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.explore.explorer import TROUBLES, Explorer, Found, replay
from matrix.explore.failure import Failure, Invariant
from matrix.explore.life import Ended
from matrix.explore.sequences import repaired, states
from matrix.explore.step import Operation, Step, Steps
from matrix.explore.world import State, Way, World
from matrix.migrating import Fault, Strategy, Transport
from matrix.scenario.compatibility import Route

LIVE = (Strategy.PRECOPY, Strategy.POSTCOPY, Strategy.MULTIFD, Strategy.XBZRLE)
ROUTES = (*(Route(s, t) for s in LIVE for t in Transport), Route(Strategy.FILE, None))
FAULTS = (Fault.CANCEL_IN_ACTIVE, Fault.CANCEL_IN_COMPLETED, Fault.DROP_IN_PRECOPY)
WAYS = (
    *(Way(route) for route in ROUTES),
    *(Way(ROUTES[1], fault) for fault in FAULTS),
)
WORLD = World("x86_64", "old", {(a, b): WAYS for a in ("old", "new") for b in ("old", "new")})

Broken = Callable[[list[tuple[State, Step]]], bool]
"""Whether a peer that was told to do this shows its fault at the last step."""


@dataclass
class Peer:
    """A guest whose QEMUs have one fault, which shows in so many lives of those that provoke it."""

    invariant: Invariant
    broken: Broken
    every: int = 1
    """It shows in every such life but each second, third, …; 1: in all."""
    world: World = WORLD
    lives: int = 0
    provoked: int = 0
    lived: list[Steps] = field(default_factory=list)

    async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
        assert repaired(WORLD, steps) == steps
        self.lives += 1
        self.lived.append(steps)
        told = list(zip(states(WORLD, steps), steps, strict=False))
        for place in range(len(steps)):
            if enough():
                return Ended(place)
            if self.broken(told[: place + 1]):
                self.provoked += 1
                if self.every == 1 or self.provoked % self.every:
                    at_end = self.invariant is Invariant.VERDICT
                    failure = Failure(self.invariant, f"seen {self.lives} times", place)
                    return Ended(len(steps) if at_end else place + 1, failure)
                return Ended(len(steps))
        return Ended(len(steps), took=(0.25,) * len(steps))


def hops(told: list[tuple[State, Step]]) -> Iterator[Step]:
    return (step for _, step in told if step.operation is Operation.HOP)


def drops_a_page(told: list[tuple[State, Step]]) -> bool:
    """Of what multifd carries back to where it came from."""
    last = told[-1][1]
    return (
        last.strategy is Strategy.MULTIFD
        and told[-1][0].place == "new"
        and last.destination == "old"
        and any(step.strategy is Strategy.MULTIFD for step in hops(told[:-1]))
    )


def doubles_a_resume(told: list[tuple[State, Step]]) -> bool:
    """After a pause: the source goes on, too."""
    return told[-1][1].strategy is Strategy.POSTCOPY and any(
        step.operation is Operation.CONT for _, step in told
    )


def cancels_late(told: list[tuple[State, Step]]) -> bool:
    """A cancel that is answered once the next hop is under way."""
    last = list(hops(told))[-2:]
    return told[-1][1].operation is Operation.HOP and [step.fault for step in last] == [
        Fault.CANCEL_IN_ACTIVE,
        None,
    ]


def sets_the_clock_back(told: list[tuple[State, Step]]) -> bool:
    """When it was paused in two places."""
    stops = {state.place for state, step in told if step.operation is Operation.STOP}
    return len(stops) == 2 and told[-1][1].operation is Operation.STOP


def leaves_a_descriptor(told: list[tuple[State, Step]]) -> bool:
    """Of a second file."""
    last = told[-1][1].strategy is Strategy.FILE
    return last and sum(step.strategy is Strategy.FILE for step in hops(told)) == 2


PLANTED = [
    # The most steps that may be left.
    pytest.param(Invariant.VERDICT, drops_a_page, 3, id="a page is dropped"),
    pytest.param(Invariant.ONE_RUNNER, doubles_a_resume, 3, id="a RESUME is doubled"),
    pytest.param(Invariant.HOP, cancels_late, 2, id="a cancel is answered late"),
    pytest.param(Invariant.PROOF, sets_the_clock_back, 4, id="the clock goes back"),
    pytest.param(Invariant.NOTHING_LEFT, leaves_a_descriptor, 2, id="a descriptor is left"),
]


def explored(
    peer: Peer, folder: Path, seconds: float = 100, seed: int = 1, *, findings: int = 1
) -> list[Found]:
    """A second passes with each life, and all the time with so many findings."""
    found: list[Found] = []

    def clock() -> float:
        return peer.lives + (seconds if len(found) >= findings else 0.0)

    def note(each: Found) -> None:
        assert (each.evidence / "commands.txt").is_file()
        found.append(each)

    explorer = Explorer([peer], seed, folder, note, clock=clock)
    asyncio.run(explorer.explore(seconds))
    assert set(explorer.signatures) == {each.failure.signature for each in found}
    assert explorer.steps == explorer.coverage.seen.total()
    assert list(folder.glob("life-*")) == []  # a failure that comes again and again fills no disk
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 3], ids=["always", "sometimes"])
@pytest.mark.parametrize(("invariant", "broken", "fewest"), PLANTED)
def test_a_planted_fault_is_found_and_shrunk(
    tmp_path: Path, invariant: Invariant, broken: Broken, fewest: int, every: int, seed: int
) -> None:
    peer = Peer(invariant, broken, every)
    (found,) = explored(peer, tmp_path, seed=seed)
    assert found.failure.invariant is invariant
    assert len(found.steps) <= fewest
    assert broken(list(zip(states(WORLD, found.steps), found.steps, strict=False)))
    assert found.failed >= 2
    assert found.lives <= 3


def test_a_good_peer(tmp_path: Path) -> None:
    peer = Peer(Invariant.HOP, lambda told: False)
    assert explored(peer, tmp_path, seconds=20) == []
    assert peer.lives == 20


def test_the_same_seed_lives_the_same(tmp_path: Path) -> None:
    def lived(seed: int) -> list[Steps]:
        peer = Peer(Invariant.HOP, lambda told: False)
        folder = tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        explored(peer, folder, seconds=5, seed=seed)
        return peer.lived

    assert lived(1) == lived(1) != lived(2)


def test_what_was_seen_once_is_written_down_unshrunk(tmp_path: Path) -> None:
    peer = Peer(Invariant.HOP, lambda told: len(told) == 9 and peer.lives == 3)
    (found,) = explored(peer, tmp_path, seconds=10)
    assert (len(found.steps), found.failed, found.shrunk_from) == (9, 0, 9)


def test_a_guest_that_fails_before_its_first_step(tmp_path: Path) -> None:
    """A finding has a step all the same: one without any is refused by a replay."""

    class Dead(Peer):
        async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
            self.lives += 1
            return Ended(0, Failure(Invariant.ALIVE, "it does not begin", 0))

    (found,) = explored(Dead(Invariant.ALIVE, lambda _: True), tmp_path, seconds=5)
    assert (len(found.steps), found.failed) == (1, 2)


def test_a_hop_that_could_not_begin_was_not_seen(tmp_path: Path) -> None:
    """It is wanted less all the same, or nothing else would be drawn any more."""

    class Refusing(Peer):
        async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
            ended = await super().live(steps, directory, enough)
            return replace(ended, begun=ended.failure is None)

    peer = Refusing(Invariant.HOP, lambda told: told[-1][1].destination == "new")
    explorer = Explorer([peer], 1, tmp_path, lambda _: None, clock=lambda: float(peer.lives))
    asyncio.run(explorer.explore(60))
    coverage = explorer.coverage
    there = {cell for cell in coverage.cells if cell.pair == "old → new"}
    assert not there & coverage.seen.keys()
    assert coverage.unbegun.keys() <= there
    assert coverage.weight(next(iter(coverage.unbegun))) < 1
    assert len(coverage.unbegun) > 10


def test_two_faults_are_two_findings(tmp_path: Path) -> None:
    class Two(Peer):
        async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
            other = Peer(Invariant.STATUS, leaves_a_descriptor)
            ended = await other.live(steps, directory, enough)
            return ended if ended.failure else await super().live(steps, directory, enough)

    found = explored(Two(Invariant.HOP, cancels_late), tmp_path, findings=2)
    assert Counter(each.failure.invariant for each in found) == {
        Invariant.HOP: 1,
        Invariant.STATUS: 1,
    }


def test_a_host_that_fails_ends_it(tmp_path: Path) -> None:
    class Full(Peer):
        async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
            raise HostError("no space left")

    with pytest.raises(HostError, match="no space left"):
        explored(Full(Invariant.HOP, lambda told: False), tmp_path)


def test_what_is_found_is_told_where_it_cannot_be_shrunk(tmp_path: Path) -> None:
    """Ctrl-C and a full disk come when they come: hours were spent to find it."""

    class Filling(Peer):
        async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
            if self.provoked == 4:
                raise HostError("no space left")
            return await super().live(steps, directory, enough)

    found: list[Found] = []
    peer = Filling(Invariant.HOP, lambda told: told[-1][1].operation is Operation.STOP)
    explorer = Explorer([peer], 1, tmp_path, found.append, clock=lambda: float(peer.lives))
    with pytest.raises(HostError, match="no space left"):
        asyncio.run(explorer.explore(100))
    (each,) = found
    assert (each.failed, each.lives) == (2, 2)  # of the sequence as it was cut last
    assert each.steps[-1].operation is Operation.STOP


@pytest.mark.parametrize(("in_a_row", "goes_on"), [(TROUBLES - 1, True), (TROUBLES, False)])
def test_a_host_that_fails_now_and_then(tmp_path: Path, in_a_row: int, *, goes_on: bool) -> None:
    class Busy(Peer):
        async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
            ended = await super().live(steps, directory, enough)
            if self.lives % 10 < in_a_row:
                raise HostError("QEMU did not greet in time")
            return ended

    troubles = list[str]()
    peer = Busy(Invariant.HOP, lambda _: False)
    explorer = Explorer(
        *([peer], 1, tmp_path, print),
        clock=lambda: float(peer.lives),
        on_trouble=troubles.append,
    )
    with nullcontext() if goes_on else pytest.raises(HostError, match="did not greet"):
        asyncio.run(explorer.explore(30))
    assert (peer.lives == 30) is goes_on
    assert set(troubles) == {"QEMU did not greet in time"}


def test_one_step_is_done_however_slowly_the_guest_starts(tmp_path: Path) -> None:
    """Else nothing would have been found where nothing was looked for."""
    peer = Peer(Invariant.HOP, lambda _: False)
    times = iter([0.0, 0.0])  # then its time is over
    explorer = Explorer([peer], 1, tmp_path, lambda _: None, clock=lambda: next(times, 200.0))
    asyncio.run(explorer.explore(100))
    assert (explorer.lives, explorer.steps) == (1, 1)


def test_what_is_known_or_anothers_is_counted_and_not_shrunk(tmp_path: Path) -> None:
    def explored(known: Collection[str] = (), *, ours: bool = True) -> tuple[Explorer, list[Found]]:
        peer, found = Peer(Invariant.HOP, cancels_late), list[Found]()
        explorer = Explorer(
            *([peer], 1, tmp_path, found.append),
            clock=lambda: peer.lives,
            known=known,
            claim=lambda _: ours,
        )
        asyncio.run(explorer.explore(60))
        return explorer, found

    explorer, found = explored()
    (signature,) = explorer.signatures
    assert len(found) == 1
    for again, none in (explored([signature]), explored(ours=False)):
        assert again.signatures[signature] > 1
        assert none == []


def test_what_is_kept_meanwhile_names_no_failure_that_is_not_told(tmp_path: Path) -> None:
    """Else whoever goes on would take it for one that was written down."""
    peer, found, kept = Peer(Invariant.HOP, cancels_late), list[Found](), list[tuple[int, int]]()

    def lived() -> None:
        kept.append((len(explorer.signatures), len(found)))

    explorer = Explorer(
        *([peer], 1, tmp_path, found.append), clock=lambda: peer.lives, on_lived=lived
    )
    asyncio.run(explorer.explore(60))
    assert len(kept) == explorer.lives
    assert kept[-1] == (1, 1)
    assert all(signatures == told for signatures, told in kept)


def test_what_is_told_meanwhile_has_failures_that_are_not_shrunk_yet(tmp_path: Path) -> None:
    peer, found, told = Peer(Invariant.HOP, cancels_late), list[Found](), list[tuple[int, int]]()

    def counted() -> None:
        told.append((len(explorer.signatures), len(found)))
        assert sum(each.times for each in explorer.took.values()) <= explorer.steps

    explorer = Explorer(
        *([peer], 1, tmp_path, found.append), clock=lambda: peer.lives, on_counted=counted
    )
    asyncio.run(explorer.explore(60))
    assert len(told) == explorer.lives
    assert (1, 0) in told
    assert explorer.took["cont"].seconds == explorer.took["cont"].times / 4 > 0


def test_one_that_is_stopped(tmp_path: Path) -> None:
    peer = Peer(Invariant.HOP, lambda told: False)
    explorer = Explorer([peer], 1, tmp_path, print, stop=lambda: peer.lives == 3)
    asyncio.run(explorer.explore(1e6))
    assert (peer.lives, explorer.lives) == (3, 3)


def test_replay(tmp_path: Path) -> None:
    steps = (Step(Operation.HOP, "new", Strategy.FILE), Step(Operation.HOP, "new", Strategy.FILE))
    peer = Peer(Invariant.NOTHING_LEFT, leaves_a_descriptor, every=2)
    failures = asyncio.run(replay(peer, steps, tmp_path, 4))
    assert [each is not None for each in failures] == [True, False, True, False]
