"""Dividing cases among hosts that do not talk to each other: ``--shard 2/5``. Pure.

Every host must come to the same division, or a case would be run twice or never. So only what all
of them know goes into it: the cases, which do not depend on the host, and durations from a file
that all of them are given.
"""

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

from matrix.errors import UsageError
from matrix.model import Case
from matrix.plan.attempts import repeats

MOST_SHARDS = 10_000
EXCLUDED_SECONDS = 0.001
"""What a case that the scenario skips counts for: such cases are spread evenly too."""

_WRITTEN = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``count`` parts of the cases; ``index`` is from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """A shard as it is typed, ``I/N``.

        Raises:
            UsageError: it is none.
        """
        match = _WRITTEN.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"--shard {text!r}: write I/N, as in 1/4 for the first of four")
        index, count = int(match[1]), int(match[2])
        if not 1 <= count <= MOST_SHARDS:
            raise UsageError(f"--shard {text!r}: from 1 to {MOST_SHARDS} shards are possible")
        if not 1 <= index <= count:
            raise UsageError(
                f"--shard {text!r}: shards are numbered from 1/{count} to {count}/{count}"
            )
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def shard_of(
    cases: Sequence[Case], shard: Shard, seconds: Mapping[str, float] | None = None
) -> list[Case]:
    """The cases of one shard, in their order; every case is in exactly one of the shards.

    Args:
        cases: all of them, with different ids.
        shard: which part.
        seconds: what an attempt of a case took, by the case's id; the same on every host.
    """
    numbers = divide(weights(cases, seconds or {}), shard.count)
    return [case for case in cases if numbers[case.id] == shard.index]


def divide(weighed: Mapping[str, float], count: int) -> dict[str, int]:
    """The shard, from 1, of each id: the heaviest first, each to the shard that has least.

    This rule (longest processing time first) is at most a third above the best division (R. L.
    Graham, Bounds on Multiprocessing Timing Anomalies, 1969). Ids decide between equals, so that
    the order of the cases does not matter.
    """
    shards = [(0.0, 0, number) for number in range(1, count + 1)]
    found: dict[str, int] = {}
    for name in sorted(weighed, key=lambda name: (-weighed[name], name)):
        load, held, number = shards[0]
        heapq.heapreplace(shards, (load + weighed[name], held + 1, number))
        found[name] = number
    return found


def weights(cases: Iterable[Case], seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds that each case will take, as far as can be said without looking at the host.

    A case of unknown duration is taken to use the same share of its time limit as the cases of
    known duration did, half of which used more.
    """
    cases = list(cases)
    shares = [seconds[case.id] / case.timeout for case in cases if case.id in seconds]
    share = median(shares) if shares else 1.0
    return {case.id: _weight(case, seconds.get(case.id), share) for case in cases}


def _weight(case: Case, known: float | None, share: float) -> float:
    if case.excluded:
        return EXCLUDED_SECONDS
    attempt = share * case.timeout if known is None else known
    tries = 1 if case.settings.until_fail else repeats(case.settings)
    return max(attempt, EXCLUDED_SECONDS) * tries
