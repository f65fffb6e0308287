"""What a soak tells Prometheus while it runs: hops, failures by kind, downtime, the dirty rate.

Served by :mod:`matrix.run.serving`; what is counted here is counted by the event
loop as hops end. Times are seconds and rates bytes per second, as Prometheus has them
(https://prometheus.io/docs/practices/naming/).
"""

import bisect
import contextlib
import glob
import math
import re
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
)

from matrix.attempt import Attempt
from matrix.migrating import Hop, Limits
from matrix.migration.folding import HOPS_FILE
from matrix.migration.hop_records import read_statistics
from matrix.migration.statistics import SERVED, Statistics
from matrix.results.run_record import RunRecord
from matrix.run.progress import NullProgress, Running
from matrix.run.serving import Server

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Bounds of the histograms' buckets: QEMU's default downtime limit is 0.3 s."""
_INTERRUPTED = re.compile(r"(\.interrupted-\d+)?")
"""What follows a case's name in that of its folder."""


class Metrics(NullProgress):
    """A watcher of a run that serves what it counts. Use as a context manager."""

    def __init__(self, address: str) -> None:
        """Args:
            address: as :class:`Server` takes it.

        Raises:
            UsageError: ``address`` is not of that form.
        """
        self._registry = CollectorRegistry()
        self._server = Server(address, self._registry)
        self._hops = self._counter(
            "matrix_hops",
            "Live migrations that have ended.",
            *("case", "strategy", "transport", "outcome"),
        )
        self._bad = self._counter(
            "matrix_hops_bad",
            "Live migrations that did not end as expected.",
            *("case", "strategy", "fault", "outcome"),
        )
        self._downtime = self._histogram("downtime", "Downtime as QEMU's source says.")
        self._blackout = self._histogram("blackout", "Largest gap that the guest saw.")
        self._total_time = self._histogram("total_time", "Time that QEMU took for the migration.")
        self._dirty_rate = self._gauge(
            "matrix_guest_dirty_bytes_per_second",
            "How fast the guest dirtied its memory in the last hop.",
        )
        self._throughput = self._gauge(
            "matrix_hop_throughput_bytes_per_second",
            "How fast the last hop carried the guest's memory over.",
        )
        self._last = self._gauge(
            "matrix_last_hop_timestamp_seconds",
            "When the last hop ended; alert on its age.",
        )
        self._attempts = self._counter(
            "matrix_attempts", "Attempts at cases that have ended.", "verdict"
        )
        self._host_attempts = self._counter(
            "matrix_host_attempts",
            "Attempts at cases that have ended, by the host that they ran on.",
            *("host", "verdict"),
        )
        self._host_used = Gauge(
            "matrix_host_used",
            "1 for hosts that have run cases, 0 once they are lost, drained or quarantined.",
            ("host",),
            registry=self._registry,
        )
        self._lost: set[str] = set()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(
            f"matrix_hop_{name}_seconds",
            text,
            ("case", "strategy"),
            buckets=SECONDS,
            registry=self._registry,
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ("case",), registry=self._registry)

    def __enter__(self) -> Self:
        """Serve.

        Raises:
            HostError: the address is taken, or not this host's.
        """
        with ExitStack() as stack:
            stack.enter_context(self._server)
            stack.enter_context(self._server.serving())
            self._served = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._served.close()

    @property
    def port(self) -> int:
        """Where it is served, once it is."""
        return self._server.port

    def families(self) -> Iterable[Metric]:
        """Every metric with its name, kind and text."""
        return self._registry.collect()

    def hopped(self, case_id: str, hop: Hop) -> None:
        """Count one hop."""
        strategy, outcome = hop.strategy.value, hop.outcome.value
        self._hops.labels(case_id, strategy, hop.transport, outcome).inc()
        if not hop.good:
            fault = hop.fault.value if hop.fault is not None else ""
            self._bad.labels(case_id, strategy, fault, outcome).inc()
        for histogram, seconds in (
            (self._downtime, hop.downtime),
            (self._blackout, hop.blackout),
            (self._total_time, hop.total_time),
        ):
            if seconds is not None:
                histogram.labels(case_id, strategy).observe(seconds)
        for gauge, rate in (
            (self._dirty_rate, hop.dirty_rate),
            (self._throughput, hop.throughput),
        ):
            gauge.labels(case_id).set(math.nan if rate is None else rate)  # NaN: not measured
        self._last.labels(case_id).set(time.time())

    def resume(self, record: RunRecord) -> None:
        """Go on counting where a run that is resumed has stopped: with its hops and attempts."""
        for decision in record.decisions:
            case_id = decision.case.id
            for attempt in record.attempts(case_id):
                if attempt.reused is None:  # else it was made in another run
                    self._count(attempt)
            folder = record.run.case_folder(case_id)
            for each in folder.parent.glob(f"{glob.escape(folder.name)}*"):
                if _INTERRUPTED.fullmatch(each.name[len(folder.name) :]):
                    for path in each.rglob(HOPS_FILE):
                        with contextlib.suppress(OSError, ValueError):  # a stranger's
                            self._take(case_id, read_statistics(path, Limits())[0])

    def _take(self, case_id: str, statistics: Statistics) -> None:
        for (strategy, transport, outcome, fault, good), count in statistics.kinds.items():
            self._hops.labels(case_id, strategy, transport, outcome).inc(count)
            if good == "bad":
                self._bad.labels(case_id, strategy, fault, outcome).inc(count)
        histograms = dict(
            zip(SERVED, (self._downtime, self._blackout, self._total_time), strict=True)
        )
        for strategy, served in statistics.by_strategy.items():
            for name, values in served.items():
                child = histograms[name].labels(case_id, strategy)
                for value, count in values.values():
                    # observe() takes one value at a time: a week's take half a minute.
                    bucket = bisect.bisect_left(child._upper_bounds, value)  # noqa: SLF001 - see above
                    child._buckets[bucket].inc(count)  # noqa: SLF001 - see above
                    child._sum.inc(value * count)  # noqa: SLF001 - see above

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:  # noqa: ARG002 - as a watcher is told
        """Count one attempt."""
        self._count(attempt)

    def host_lost(self, host: str, why: str) -> None:  # noqa: ARG002 - as a watcher is told
        """The host is not used any more."""
        self._lost.add(host)
        self._host_used.labels(host).set(0)

    def host_back(self, host: str) -> None:
        """The host is used again."""
        self._lost.discard(host)
        self._host_used.labels(host).set(1)

    def _count(self, attempt: Attempt) -> None:
        self._attempts.labels(attempt.verdict.value).inc()
        self._host_attempts.labels(attempt.host, attempt.verdict.value).inc()
        if attempt.host not in self._lost:
            self._host_used.labels(attempt.host).set(1)
