"""What an exploration tells Prometheus: how far it has come, what it did, and what it found."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from matrix.explore.exploration import Exploration
from matrix.results.printable import printable


class ExplorationMetrics(Collector):
    """Made anew for each scrape, of what was seen so far."""

    def __init__(self, so_far: Callable[[], Exploration]) -> None:
        self._so_far = so_far

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        total = self._so_far()
        yield from _sums(total)
        yield from _cells(total)
        yield from _operations(total)


def _sums(total: Exploration) -> Iterator[Metric]:
    yield CounterMetricFamily("matrix_explore_guests", "Guests that were begun.", total.guests)
    yield CounterMetricFamily("matrix_explore_steps", "Steps that were done.", total.steps)
    text = "Time in which those steps were done, summed over guests side by side."
    yield CounterMetricFamily("matrix_explore_seconds", text, total.seconds)
    text = "Steps a second of one guest, over the whole exploration."
    rate = total.steps / max(total.seconds, 0.001)
    yield GaugeMetricFamily("matrix_explore_steps_per_second", text, rate)
    text = "How often each failure was seen, but for shrinking."
    failures = CounterMetricFamily("matrix_explore_failures", text, labels=("signature",))
    for signature, times in sorted(total.signatures.items()):
        failures.add_metric((printable(signature),), times)
    yield failures


def _cells(total: Exploration) -> Iterator[Metric]:
    coverage = total.coverage
    text = "Cells of the coverage that there are to be seen."
    all_ = GaugeMetricFamily("matrix_explore_cells", text, labels=("arch",))
    text = "Cells of the coverage that were seen."
    seen = GaugeMetricFamily("matrix_explore_cells_seen", text, labels=("arch",))
    there = Counter(cell.architecture for cell in coverage.cells)
    covered = Counter(cell.architecture for cell in coverage.cells if cell in coverage.seen)
    for architecture, count in sorted(there.items()):
        all_.add_metric((architecture,), count)
        seen.add_metric((architecture,), covered[architecture])
    yield all_
    yield seen


def _operations(total: Exploration) -> Iterator[Metric]:
    labels = ("arch", "operation")
    text = "Operations that were begun, by name."
    begun = CounterMetricFamily("matrix_explore_operations", text, labels=labels)
    times = Counter[tuple[str, str]]()
    for cell, count in total.coverage.seen.items():
        times[cell.architecture, cell.what] += count
    for names, count in sorted(times.items()):
        begun.add_metric(names, count)
    yield begun
    text = "How long operations took that did not fail, without what is checked after them."
    took = SummaryMetricFamily("matrix_explore_operation_seconds", text, labels=("operation",))
    for name, each in sorted(total.took.items()):
        took.add_metric((name,), each.times, each.seconds)
    yield took
