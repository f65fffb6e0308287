"""What many hops come to: percentiles in bounded memory, and whether limits hold. Pure.

Quantities go into buckets whose borders grow by a constant factor, so that a percentile is exact to
within 1 % whatever the number of hops, and the order of the hops makes no difference.
"""

import heapq
import math
from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Any

from matrix.migrating import FEWEST, Hop, HopOutcome, Limits, MigrationSummary, Statistic

GROWTH = 1.02
"""Ratio of a bucket's borders: its middle is within 1 % of all that is in it."""
SMALLEST = 1e-6
"""Smaller values, and 0, count as nothing."""
EXACT = 100
HALF = 50
BROKEN_KEPT = 20
"""Broken limits that are named; the rest are only counted."""

WORST_TOLD = 10
"""Hops that are told apart from the others for each quantity."""
BAD_TOLD = 500
"""Bad hops that are."""
SERVED = ("downtime", "blackout", "total_time")
"""Attributes of a hop that Prometheus has histograms of."""
COUNTS = ("hops", "completed", "as_expected", "bad")
MOST_DEVICES = 500
"""Devices that are told apart, each saved or loaded; a machine has some 40."""
MOST_UNTRACED = 20
"""QEMUs, or pairs of them, that are named because they do not tell of devices."""

QUANTITIES: tuple[tuple[str, str, str], ...] = (
    ("total-time", "s", "total_time"),
    ("setup-time", "s", "setup_time"),
    ("downtime", "s", "downtime"),
    ("stop-to-resume", "s", "stop_to_resume"),
    ("clock-bound", "s", "clock_bound"),
    ("blackout", "s", "blackout"),
    ("silence", "s", "silence"),
    ("clock-jump", "s", "clock_jump"),
    ("seconds", "s", "seconds"),
    ("transferred", "B", "transferred"),
    ("passes", "", "passes"),
    ("dirty-rate", "B/s", "dirty_rate"),
    ("throughput", "B/s", "throughput"),
    ("throttle", "%", "throttle"),
    ("requests", "", "requests"),
    ("in-flight", "", "in_flight"),
)
"""Name, unit, and the attribute of a :class:`~matrix.migrating.Hop`; of clock jumps the size."""
LATER = ("requests", "in-flight", "clock-bound")
"""Those that files of former versions lack."""


class Distribution:
    """Counts values in buckets."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._first: list[float] = []
        """All of them, as long as they are few: so few are told exactly."""
        self.count = 0
        self.smallest = math.inf
        self.largest = 0.0

    def add(self, value: float) -> None:
        """Take in a value; its sign does not count."""
        value = abs(value)
        self.count += 1
        self.smallest = min(self.smallest, value)
        self.largest = max(self.largest, value)
        if self.count <= EXACT:
            self._first.append(value)
        self._buckets[_bucket(value)] += 1

    def state(self) -> dict[str, Any]:
        """All of it as JSON."""
        buckets = {str(bucket): count for bucket, count in self._buckets.items()}
        return {
            "count": self.count,
            "smallest": self.smallest if self.count else 0.0,
            "largest": self.largest,
            "first": self._first if self.count <= EXACT else [],
            "buckets": buckets,
        }

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "Distribution":
        """What has returned ``state``."""
        made = cls()
        made.count, made.largest = int(state["count"]), float(state["largest"])
        made.smallest = float(state["smallest"]) if made.count else math.inf
        made._first = [float(value) for value in state["first"]]
        made._buckets.update({int(key): int(n) for key, n in state["buckets"].items()})
        return made

    def values(self) -> Iterable[tuple[float, int]]:
        """Each value to within 1 %, and how often there was one like it."""
        return ((min(_middle(key), self.largest), n) for key, n in self._buckets.items())

    def percentile(self, percent: float) -> float:
        """The least value that is not exceeded by ``percent`` % of all, to within 1 %.
        Exact of up to :data:`EXACT` values, of which 50 % is the median: of an even number half of
        the sum of the two in the middle."""
        if percent == HALF and 0 < self.count <= EXACT:
            return median(self._first)
        rank = max(1, math.ceil(self.count * percent / 100))
        if 0 < self.count <= EXACT:
            return sorted(self._first)[rank - 1]
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return max(self.smallest, min(_middle(bucket), self.largest))
        return 0.0


class Statistics:
    """Folds hops, one after the other."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._distributions = {name: Distribution() for name, _, _ in QUANTITIES}
        self._worst: dict[str, tuple[float, int]] = {}
        """Per quantity the largest value and the number of its hop."""
        self._largest: dict[str, list[tuple[float, int]]] = {name: [] for name, _, _ in QUANTITIES}
        """Per quantity the largest few, each with the number of its hop; heaps."""
        self.kinds: Counter[tuple[str, ...]] = Counter()
        """How many hops there were by strategy, transport, outcome, fault and being good."""
        self.by_strategy: dict[str, dict[str, Distribution]] = {}
        """Of all hops, by strategy and :data:`SERVED`."""
        self._devices: dict[str, Distribution] = {}
        """Of ``NAME save`` and ``NAME load``, over all instances of a device."""
        self._untraced: list[str] = []
        self._bad: list[int] = []
        """Numbers of the first hops that were bad."""
        self._broken: list[str] = []
        self._more_broken = 0
        self.hops = self.completed = self.as_expected = self.bad = 0

    def add(self, hop: Hop) -> None:
        """Take in a hop."""
        self.hops += 1
        completed = hop.outcome is HopOutcome.COMPLETED
        self.completed += completed
        self.as_expected += hop.good and hop.fault is not None
        self.bad += not hop.good
        self._count(hop)
        if hop.untraced not in ("", *self._untraced) and len(self._untraced) < MOST_UNTRACED:
            self._untraced.append(hop.untraced)
        if not hop.good and len(self._bad) < BAD_TOLD:
            self._bad.append(hop.number)
        if not completed:
            return  # what a hop took that did not happen says nothing of those that did
        if hop.suspended:
            return  # nor does one in which the host slept: the guest's clock may have gone on
        for name, _, attribute in QUANTITIES:
            value = getattr(hop, attribute)
            if value is not None:
                self._distributions[name].add(value)
                _push(self._largest[name], (abs(value), hop.number))
                if abs(value) > self._worst.get(name, (-1.0, 0))[0]:
                    self._worst[name] = (abs(value), hop.number)
        self._add_devices(hop)
        if hop.fault is None:  # a fault may well make a hop slow: that is not held against it
            self._check(hop)

    def _count(self, hop: Hop) -> None:
        fault = hop.fault.value if hop.fault is not None else ""
        good = "good" if hop.good else "bad"
        self.kinds[hop.strategy.value, hop.transport, hop.outcome.value, fault, good] += 1
        served = self.by_strategy.setdefault(hop.strategy.value, {})
        for name in SERVED:
            if (value := getattr(hop, name)) is not None:
                served.setdefault(name, Distribution()).add(value)

    def _add_devices(self, hop: Hop) -> None:
        sums: dict[str, float] = {}
        for each in hop.devices:
            for event, seconds in (("save", each.save), ("load", each.load)):
                if seconds is not None:
                    name = f"{each.device} {event}"
                    sums[name] = sums.get(name, 0.0) + seconds
        for name, seconds in sums.items():
            if name in self._devices or len(self._devices) < MOST_DEVICES:
                self._devices.setdefault(name, Distribution()).add(seconds)

    def telling(self) -> set[int]:
        """Numbers of the hops that are worth to be kept whole: the bad ones, and the worst."""
        worst = (number for heap in self._largest.values() for _, number in heap)
        return {*self._bad, *worst}

    def state(self) -> dict[str, Any]:
        """All of it, but for the limits, as JSON."""
        return {
            **{name: getattr(self, name) for name in COUNTS},
            "distributions": {name: each.state() for name, each in self._distributions.items()},
            "kinds": [[*kind, count] for kind, count in self.kinds.items()],
            "by_strategy": {
                strategy: {name: each.state() for name, each in served.items()}
                for strategy, served in self.by_strategy.items()
            },
            "worst": self._worst,
            "largest": self._largest,
            "devices": {name: each.state() for name, each in self._devices.items()},
            "untraced": self._untraced,
            "bad_hops": self._bad,
            "broken": self._broken,
            "more_broken": self._more_broken,
        }

    @classmethod
    def restored(cls, limits: Limits, state: dict[str, Any]) -> "Statistics":
        """What has returned ``state``.

        Raises:
            ValueError: nothing has.
        """
        made = cls(limits)
        try:
            for name in COUNTS:
                setattr(made, name, int(state[name]))
            for name in made._distributions:
                if name in LATER and name not in state["distributions"]:
                    continue
                made._distributions[name] = Distribution.restored(state["distributions"][name])
                pairs = state["largest"][name]
                made._largest[name] = [(float(value), int(number)) for value, number in pairs]
            made.kinds.update({tuple(kind): int(count) for *kind, count in state["kinds"]})
            made.by_strategy = {
                strategy: {name: Distribution.restored(each) for name, each in served.items()}
                for strategy, served in state["by_strategy"].items()
            }
            made._worst = {
                str(name): (float(value), int(number))
                for name, (value, number) in state["worst"].items()
            }
            made._devices = {  # there are none in files of former versions
                str(name): Distribution.restored(each)
                for name, each in state.get("devices", {}).items()
            }
            made._untraced = [str(each) for each in state.get("untraced", ())]
            made._bad = [int(number) for number in state["bad_hops"]]
            made._broken = [str(each) for each in state["broken"]]
            made._more_broken = int(state["more_broken"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no statistics of hops: {error}") from error
        return made

    def values(self, name: str) -> Iterable[tuple[float, int]]:
        """Each value of a quantity over all hops to within 1 %, and how often it was there."""
        return self._distributions[name].values()

    def summary(self, seed: int, seconds: float) -> MigrationSummary:
        """What they have come to, over ``seconds`` of wall time."""
        broken = [*self._broken, *self._overall(seconds)]
        if self._more_broken:
            broken.append(f"and {self._more_broken} more")
        return MigrationSummary(
            hops=self.hops,
            completed=self.completed,
            as_expected=self.as_expected,
            bad=self.bad,
            seed=seed,
            seconds=round(seconds, 3),
            statistics=tuple(self._statistics()),
            broken=tuple(broken),
            devices=tuple(_statistic(name, "s", each) for name, each in self._devices.items()),
            untraced=tuple(self._untraced),
        )

    def _statistics(self) -> Iterable[Statistic]:
        for name, unit, _ in QUANTITIES:
            if self._distributions[name].count:
                yield _statistic(name, unit, self._distributions[name])

    def _check(self, hop: Hop) -> None:
        limits = self._limits
        for name, value, limit, bound in (
            ("downtime", hop.downtime, limits.downtime_max, 0.0),
            ("blackout", hop.blackout, limits.blackout_max, 0.0),
            ("total-time", hop.total_time, limits.total_time, 0.0),
            # The beats before and after came over two links: nothing is judged within the bound.
            ("clock-jump", hop.clock_jump, limits.clock_jump, hop.clock_bound or 0.0),
        ):
            if value is None or limit is None or abs(value) - bound <= limit:
                continue
            if len(self._broken) < BROKEN_KEPT:
                text = f"hop {hop.number}: {name} {value:.3f} s, more than {limit:g} s"
                self._broken.append(text)
            else:
                self._more_broken += 1

    def _overall(self, seconds: float) -> Iterable[str]:
        """Limits that only all hops together can break."""
        limit = self._limits.downtime_p99
        downtime = self._distributions["downtime"]
        if limit is not None and downtime.count:
            found = downtime.percentile(99)
            if found > limit:
                worst, number = self._worst["downtime"]
                # So few have no p99: their greatest stands for it.
                of = f"p99 {found:.3f} s" if downtime.count >= FEWEST else "p99 of few hops"
                yield (
                    f"downtime {of}, more than {limit:g} s; "
                    f"worst is hop {number} with {worst:.3f} s"
                )
        least = self._limits.hops_per_minute
        if least is not None and seconds > 0:
            rate = self.completed * 60 / seconds
            if rate < least:
                yield f"{rate:.1f} hops per minute, less than {least:g}"


def _statistic(name: str, unit: str, values: Distribution) -> Statistic:
    p50, p90, p99 = (values.percentile(percent) for percent in (50, 90, 99))
    return Statistic(name, unit, values.count, p50, p90, p99, values.largest, values.smallest)


def _push(heap: list[tuple[float, int]], new: tuple[float, int]) -> None:
    """Keep the largest few; of equal ones the first."""
    if len(heap) < WORST_TOLD:
        heapq.heappush(heap, new)
    elif new[0] > heap[0][0]:
        heapq.heapreplace(heap, new)


def _bucket(value: float) -> int:
    return math.floor(math.log(max(value, SMALLEST)) / math.log(GROWTH))


def _middle(bucket: int) -> float:
    value = GROWTH ** (bucket + 0.5)
    return 0.0 if value < 2 * SMALLEST else value
