"""The host's clock, without its steps: what is measured on it is never off by one.

QEMU stamps its events, and we the guest's beats, with the wall clock, which an operator, NTP or a
suspend may set at any time. What it does beyond CLOCK_MONOTONIC, which nobody sets and which stands
still in a suspend, as QEMU's own clocks do, is taken off again; CLOCK_BOOTTIME tells a suspend from
a clock that was set.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

STEP = 0.1
"""Seconds from which a step is one; NTP slews by 30 ms in a minute at most."""
LATE = 2.0
"""Seconds that an event may take to reach us; a stamp further off is of before a step."""


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Reading:
    """All three clocks at one moment, in seconds."""

    wall: float
    monotonic: float
    boottime: float


class HostClock:
    """Unix time that goes on evenly from when this was made."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        boottime: Callable[[], float] = _boottime,
    ) -> None:
        self._clocks = (wall, monotonic, boottime)
        self._first = self.read()

    def read(self) -> Reading:
        """All clocks now."""
        wall, monotonic, boottime = self._clocks
        return Reading(wall(), monotonic(), boottime())

    def time(self) -> float:
        """Now."""
        return self._first.wall + self._clocks[1]() - self._first.monotonic

    def even(self, stamp: float) -> float:
        """When that was which another process has just stamped with the wall clock."""
        now = self.time()
        even = stamp - (self._clocks[0]() - now)
        # The clock was set between the stamp and us: now it reached us, at the latest.
        return even if abs(now - even) <= LATE else now

    def steps(self, since: Reading) -> tuple[float, float]:
        """Seconds that the clock was set by (back: negative), and that the host was suspended; 0 of
        what is less than :data:`STEP`."""
        now = self.read()
        asleep = (now.boottime - since.boottime) - (now.monotonic - since.monotonic)
        step = (now.wall - since.wall) - (now.boottime - since.boottime)
        return _if_large(step), _if_large(asleep)


def _if_large(seconds: float) -> float:
    return round(seconds, 3) if abs(seconds) >= STEP else 0.0
