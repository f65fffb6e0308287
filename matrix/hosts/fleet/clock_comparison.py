"""How far another host's clock is ahead of ours, found out by echoes."""

import time
from collections import deque
from collections.abc import Callable

from matrix.vm.location import ClockReading

WINDOW = 1.0
"""Seconds that a comparison is worth something for: of twenty one has met no traffic."""
DRIFT = 2e-4
"""Seconds per second that two hosts' clocks may go apart: each 100 ppm, twice what quartz does."""


class ClockComparison:
    """How far another host's clock is ahead of ours, by echoes; the one that took least counts."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._sent: float | None = None
        self._echoes: deque[tuple[float, float, float]] = deque()
        """When each came, the other's clock less our monotonic one, and half of its time."""

    def send(self) -> bool:
        """Whether one is to be sent now: the one before has come back."""
        if self._sent is not None:
            return False
        self._sent = self._monotonic()
        return True

    def take(self, theirs: float) -> None:
        """One has come back, with the other's clock."""
        if self._sent is None:
            return
        now, half = self._monotonic(), (self._monotonic() - self._sent) / 2
        self._echoes.append((now, theirs - now + half, half))
        self._sent = None
        while now - self._echoes[0][0] > WINDOW and len(self._echoes) > 1:
            self._echoes.popleft()

    def reading(self) -> ClockReading | None:
        """What is known now; None before any has come back."""
        now, wall = self._monotonic(), self._wall()
        found = (
            ClockReading(offset - (wall - now), half + DRIFT * (now - came))
            for came, offset, half in self._echoes
        )
        return min(found, key=lambda reading: reading.bound, default=None)
