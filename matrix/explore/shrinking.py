"""A sequence that fails, cut to the fewest steps that still do: delta debugging, by a stated rule.

Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002): chunks are left
out, half of the sequence first, single steps in the end, until no single step can be spared.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

from matrix.explore.step import Steps

Shows = Callable[[Steps], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A sequence shows a failure if it failed so in ``failed`` of at most ``of`` lives."""

    failed: int = 2
    of: int = 3

    def __str__(self) -> str:
        return f"{self.failed} of {self.of}"

    async def shows(self, fails: Callable[[], Awaitable[bool]]) -> bool:
        """Ask ``fails`` as often as it takes to know, never more often."""
        failed = 0
        for tried in range(self.of):
            if failed + self.of - tried < self.failed:
                break
            failed += await fails()
            if failed >= self.failed:
                return True
        return False


async def shrunk(steps: Steps, shows: Shows, repaired: Callable[[Steps], Steps]) -> Steps:
    """The fewest steps that still show the failure, of those that were found.

    Args:
        steps: they show it.
        shows: whether others do.
        repaired: leaves out what is not possible any more after something was.
    """
    tried: dict[Steps, bool] = {steps: True}

    async def still(candidate: Steps) -> bool:
        if candidate not in tried:
            tried[candidate] = await shows(candidate)
        return tried[candidate]

    size = max(1, len(steps) // 2)
    while True:
        before, start = steps, 0
        while start < len(steps):
            for shorter in _without(steps, start, size):
                candidate = repaired(shorter)
                if candidate and await still(candidate):
                    steps = candidate
                    break
            else:
                start += size
        if size > 1:
            size //= 2
        elif steps == before:
            return await _plainer(steps, still)


def _without(steps: Steps, start: int, size: int) -> Iterator[Steps]:
    """What is left without a chunk; without a single hop, with the next one in its place, too."""
    yield steps[:start] + steps[start + size :]
    left, there = list(steps[start + 1 :]), steps[start].destination
    for place, step in enumerate(left):
        if size == 1 and there and step.destination:
            left[place] = replace(step, destination=there)
            yield (*steps[:start], *left)
            return


async def _plainer(steps: Steps, still: Shows) -> Steps:
    """Without the parameters that do not matter."""
    for place, step in enumerate(steps):
        for parameter in step.parameters:
            left = tuple(each for each in steps[place].parameters if each != parameter)
            plainer = replace(steps[place], parameters=left)
            candidate = (*steps[:place], plainer, *steps[place + 1 :])
            if await still(candidate):
                steps = candidate
    return steps
