"""Draws sequences, lives them, and shrinks what fails, until the time is over."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Protocol

from matrix.errors import HostError
from matrix.explore.by_hand import write_commands
from matrix.explore.cells import Coverage
from matrix.explore.exploration import Took
from matrix.explore.failure import Failure
from matrix.explore.life import Ended
from matrix.explore.sequences import cells, draw, repaired, states
from matrix.explore.shrinking import Rule, shrunk
from matrix.explore.step import Steps
from matrix.explore.world import World
from matrix.results.files import host_errors

LENGTH = 20
"""Steps of a sequence."""
SHRINKING = 300.0
"""Seconds that a failure may be shrunk for; what is left then is written down."""
TROUBLES = 3
"""Lives in a row in which the host fails that end an exploration of hours: once it may be busy."""


class Explored(Protocol):
    """A guest that can be explored: :class:`matrix.explore.subject.Subject`, or a test's."""

    @property
    def world(self) -> World:
        """What it may be put through."""
        ...

    async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
        """See :meth:`matrix.explore.life.Lives.live`."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A failure, by the sequence that shows it."""

    subject: int
    """Index of the guest."""
    failure: Failure
    """As it was seen last."""
    steps: Steps
    shrunk_from: int
    failed: int
    lives: int
    evidence: Path
    """Logs of a life in which it was seen; they go afterwards."""


@dataclass(slots=True)
class Explorer:
    """One exploration. ``folder`` is new, and holds logs of lives until ``on_found`` returns."""

    subjects: Sequence[Explored]
    seed: int
    folder: Path
    on_found: Callable[[Found], None]
    rule: Rule = field(default_factory=Rule)
    length: int = LENGTH
    known: Collection[str] = ()
    """Signatures of failures that were written down already."""
    claim: Callable[[str], bool] = lambda _: True
    """Whether a new failure, by its signature, is ours to shrink, and nobody else's."""
    stop: Callable[[], bool] = lambda: False
    """Whether it is to end before its time."""
    on_trouble: Callable[[str], None] = lambda _: None
    """Gets the reason where the host fails us and it goes on all the same."""
    on_lived: Callable[[], None] = lambda: None
    """Called after each drawn sequence, before a failure in it is counted and shrunk: what is kept
    then names no failure that nobody has written down."""
    on_counted: Callable[[], None] = lambda: None
    """Called after each drawn sequence, once all that it has shown is counted."""
    clock: Callable[[], float] = time.monotonic
    coverage: Coverage = field(init=False)
    signatures: Counter[str] = field(default_factory=Counter)
    """How often each failure was seen, but for shrinking."""
    steps: int = 0
    """That were done, but for shrinking."""
    lives: int = 0
    seconds: float = 0.0
    """In which those were done."""
    took: dict[str, Took] = field(default_factory=dict)
    """How long each operation took, where it held."""
    _folders: int = 0

    def __post_init__(self) -> None:
        self.coverage = Coverage(cell for subject in self.subjects for cell in cells(subject.world))

    async def explore(self, seconds: float) -> None:
        """Explore for that long, and one step at least, however slowly the first guest starts; a
        failure that is being shrunk at the end is shrunk first.

        Raises:
            HostError: the host fails us :data:`TROUBLES` times in a row.
        """
        deadline, asked = self.clock() + seconds, count()

        def enough() -> bool:
            return next(asked) > 0 and (self.clock() >= deadline or self.stop())

        troubles = 0
        while self.clock() < deadline and not self.stop():
            try:
                await self._explore_one(enough)
            except HostError as error:
                troubles += 1
                if troubles == TROUBLES:
                    raise
                self.on_trouble(str(error))
            else:
                troubles = 0

    async def _explore_one(self, enough: Callable[[], bool]) -> None:
        """Draw a sequence, live it, and shrink it if it fails. Raises HostError."""
        number = self.lives % len(self.subjects)
        subject = self.subjects[number]
        generator = random.Random(f"{self.seed}/{self.lives}")  # noqa: S311 - to be repeatable
        steps = draw(subject.world, self.length, self.coverage, generator)
        self.lives += 1
        begun = self.clock()
        ended, evidence = await self._live(subject, steps, enough)
        self.seconds += self.clock() - begun
        self.steps += ended.done
        self._cover(subject.world, steps[: ended.done], begun=ended.begun)
        for step, taken in zip(steps, ended.took, strict=False):
            self.took[step.what] = self.took.get(step.what, Took()) + Took(1, taken)
        self.on_lived()
        if ended.failure is None:
            self.on_counted()
            return
        signature = ended.failure.signature
        new = signature not in self.signatures and signature not in self.known
        self.signatures[signature] += 1
        self.on_counted()
        if new and self.claim(signature):
            # A guest may fail before its first step; a finding has one all the same.
            await self._shrink(number, steps[: max(1, ended.done)], ended.failure, evidence)
        for folder in self.folder.glob("life-*"):  # whoever wants logs has copied them
            shutil.rmtree(folder, ignore_errors=True)

    def _cover(self, world: World, steps: Steps, *, begun: bool) -> None:
        """Count the steps, the last of which may not have begun."""
        done = [
            world.cell(state, step)
            for state, step in zip(states(world, steps), steps, strict=False)
        ]
        seen = done if begun else done[:-1]
        self.coverage.seen.update(seen)
        self.coverage.unbegun.update(done[len(seen) :])

    async def _live(
        self, subject: Explored, steps: Steps, enough: Callable[[], bool] = lambda: False
    ) -> tuple[Ended, Path]:
        self._folders += 1
        folder = self.folder / f"life-{self._folders}"
        with host_errors("create", folder):
            folder.mkdir(mode=0o700)
        ended = await subject.live(steps, folder, enough)
        if ended.failure is None:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            write_commands(folder, ended.launches)
        return ended, folder

    async def _shrink(self, number: int, sequence: Steps, failure: Failure, evidence: Path) -> None:
        """Shrink what has failed, and tell of it: also where that is interrupted, or the host fails
        meanwhile, as far as it came."""
        subject, deadline = self.subjects[number], self.clock() + SHRINKING
        tally: dict[Steps, tuple[int, int]] = {}
        latest: dict[Steps, tuple[Failure, Path]] = {sequence: (failure, evidence)}

        steps = sequence

        async def shows(candidate: Steps) -> bool:
            async def fails() -> bool:
                ended, folder = await self._live(subject, candidate)
                same = ended.failure is not None and ended.failure.signature == failure.signature
                failed, lives = tally.get(candidate, (0, 0))
                tally[candidate] = failed + same, lives + 1
                if ended.failure is not None and same:
                    latest[candidate] = ended.failure, folder
                return same

            nonlocal steps
            shown = self.clock() < deadline and await self.rule.shows(fails)
            steps = candidate if shown else steps
            return shown

        try:
            if await shows(sequence):
                await shrunk(sequence, shows, lambda each: repaired(subject.world, each))
        finally:
            seen, logs = latest[steps]
            failed, lives = tally.get(steps, (0, 0))
            self.on_found(Found(number, seen, steps, len(sequence), failed, lives, logs))


async def replay(subject: Explored, steps: Steps, folder: Path, lives: int) -> list[Failure | None]:
    """Live a sequence so many times; what failed each time. Raises as :meth:`Lives.live`."""
    found = []
    for number in range(1, lives + 1):
        life = folder / f"life-{number}"
        with host_errors("create", life):
            life.mkdir(mode=0o700)
        found.append((await subject.live(steps, life, lambda: False)).failure)
    return found
