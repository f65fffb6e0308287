"""Samples of a migration's progress while a hop is under way, and the last full answer."""

import asyncio
from collections.abc import Callable
from typing import Any

from matrix.migrating import Sample
from matrix.migration.endpoint import Endpoint

INTERVAL = 0.05
"""Seconds between two samples."""
LIMIT = 1200
"""Samples kept per hop: a minute. Of a longer hop every second, fourth, … one is kept."""
MEGABIT = 1e6 / 8


class Sampler:
    """Asks the source ``query-migrate`` again and again. :meth:`run` ends when it is cancelled."""

    def __init__(self, source: Endpoint, elapsed: Callable[[], float]) -> None:
        """``elapsed`` gives the seconds since the hop began."""
        self._source = source
        self._elapsed = elapsed
        self._stride = 1
        self._taken = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._asked = False
        """A sample is under way."""
        self.samples: list[Sample] = []
        self.last: dict[str, Any] = {}
        """The last answer that had ``ram`` in it: those of failed migrations have none."""
        self.postcopy_downtime: float | None = None
        """Seconds, as the source said while it was in postcopy; None where it did not."""

    async def run(self) -> None:
        """Take a sample every :data:`INTERVAL` seconds, as far as the source answers."""
        # By a timer and what the reply calls, not by a task that waits for both: 20 times a second
        # that is most of what sampling takes.
        loop = asyncio.get_running_loop()
        self._due = loop.time()
        try:
            self._wait(loop)
            await loop.create_future()  # until cancelled, when the hop is over
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = max(self._due + INTERVAL, loop.time())
        self._timer = loop.call_at(self._due, self._ask, loop)

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._asked:
            self.ask()
        self._wait(loop)

    def ask(self) -> None:
        """Have a sample taken as soon as the source answers, beside those that are due."""
        self._asked = True
        self._source.sample(self._answered)

    def _answered(self, reply: object) -> None:
        self._asked = False
        if self._timer is not None and isinstance(reply, dict):
            self._keep(reply)

    async def take(self) -> dict[str, Any]:
        """Take a sample now and return the whole answer; empty where there is none."""
        information = await self._source.information()
        self._keep(information)
        return information

    def _keep(self, information: dict[str, Any]) -> None:
        if "ram" in information:
            self.last = information
        if information:
            self._add(sample(information, self._elapsed()))
        if str(information.get("status", "")).startswith("postcopy-") and "downtime" in information:
            self.postcopy_downtime = number(information["downtime"]) * 1e-3

    def _add(self, new: Sample) -> None:
        self._taken += 1
        if self._taken % self._stride:
            return
        self.samples.append(new)
        if len(self.samples) >= LIMIT:
            del self.samples[::2]
            self._stride *= 2

    @property
    def throttle(self) -> int:
        """The greatest throttle seen, in percent."""
        return max((taken.throttle for taken in self.samples), default=0)


def sample(information: dict[str, Any], at: float) -> Sample:
    """One answer to ``query-migrate`` as a sample."""
    ram = ram_of(information)
    return Sample(
        at=round(at, 4),
        status=str(information.get("status", "")),
        remaining=whole(ram.get("remaining")),
        transferred=whole(ram.get("transferred")),
        passes=whole(ram.get("dirty-sync-count")),
        dirty_rate=whole(ram.get("dirty-pages-rate")) * whole(ram.get("page-size")),
        throughput=number(ram.get("mbps")) * MEGABIT,
        throttle=whole(information.get("cpu-throttle-percentage")),
    )


def ram_of(information: dict[str, Any]) -> dict[str, Any]:
    """``ram`` of an answer to ``query-migrate``; empty where it has none."""
    ram = information.get("ram")
    return ram if isinstance(ram, dict) else {}


def whole(value: Any) -> int:
    """A number of QEMU's as int, 0 where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def number(value: Any) -> float:
    """A number of QEMU's as float, 0 where it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
