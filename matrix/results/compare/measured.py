"""Which times and metrics changed by more than noise: pure functions over attempts.

The rule. A side's value is the median of its attempts that completed, that is, passed or failed:
a hung guest's time is that of its limit. Its spread is 1.4826 times the median absolute deviation,
which estimates the standard deviation of normally distributed values (Rousseeuw and Croux,
"Alternatives to the Median Absolute Deviation", 1993) and which one outlier does not move. A value
has changed if it is beyond the threshold and the medians are more than three times the larger of
both spreads apart. One attempt has no spread: repeat a run (``--repeat``) to know its noise. The
median of one attempt's hops has: its standard error, sqrt(pi/2) s/sqrt(n) of n normally distributed
values whose deviation s is estimated from p90, or from the range where there are too few for that.

Thresholds of a time: a factor and a least difference, both reached. Threshold of a metric: the
difference, relative to the smaller of both values, exceeded, and the unit must be the same. The
rule gives the same whichever side is A.

Live migration's distributions are metrics too: ``downtime p50``, ``p90`` and ``p99``, each only
over so many hops that it says something (20 and 100), and the completed hops per
minute. Their greatest values are no metrics: one hop decides them. Of the time
that a device's state takes (``ram save p50``) a change is half a millisecond at least, too: QEMU
tells downtimes in whole ones.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from matrix.migrating import FEWEST, Statistic
from matrix.results.case_record import AttemptRecord, CaseRecord, MetricRecord
from matrix.results.compare.changes import MeasuredChange, Sample
from matrix.verdicts import Verdict

COMPLETED = (Verdict.PASS, Verdict.FAIL, Verdict.XFAIL, Verdict.XPASS)
"""Verdicts of attempts whose times and metrics mean something."""

QUANTILES = {"p50": 2, "p90": FEWEST, "p99": 100}
"""Of a migration's distributions, and how many hops each takes at least."""

DEVICE_SECONDS = 0.5e-3
"""The least change of a device's time."""

SPREADS = 3
MAD_TO_DEVIATION = 1.4826


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on a change of a time or a metric is told."""

    factor: float = 1.5
    """Of a time, above 1."""
    seconds: float = 1.0
    """The least difference of a time."""
    metric: float = 0.2
    """The relative difference of a metric that is still no change."""

    def rule(self) -> str:
        """In words, for those who read the numbers."""
        return (
            f"times by a factor of {self.factor:g} and {self.seconds:g} s at least, metrics by "
            f"more than {self.metric * 100:.4g} % of the smaller value; medians of the attempts "
            f"that completed, more than {SPREADS} spreads apart (one attempt has no spread: "
            "--repeat)"
        )


def compare_seconds(a: CaseRecord, b: CaseRecord, thresholds: Thresholds) -> MeasuredChange | None:
    """The change of a case's time, None where there is none or the verdicts differ."""
    if a.verdict is not b.verdict:
        return None
    before = sample([each.seconds for each in _completed(a)])
    after = sample([each.seconds for each in _completed(b)])
    if before is None or after is None:
        return None
    return changed(MeasuredChange("", "s", before, after), thresholds)


def compare_metrics(
    a: CaseRecord, b: CaseRecord, thresholds: Thresholds
) -> tuple[MeasuredChange, ...]:
    """The metrics that both sides have, in the same unit, and that changed."""
    before, after = _metrics(_completed(a)), _metrics(_completed(b))
    devices = {each.name for attempt in a.attempts for each, _ in _of_devices(attempt)}
    changes = []
    for key, values in before.items():
        one, other = (
            sample([value for value, _ in told], [error for _, error in told])
            for told in (values, after.get(key, ()))
        )
        if one is None or other is None:
            continue
        name, unit, _ = key
        change = changed(MeasuredChange(name, unit, one, other), thresholds)
        if change is not None and name in devices:
            difference = abs(change.after.median - change.before.median)
            change = change if difference >= DEVICE_SECONDS else None
        if change is not None:
            changes.append(change)
    return tuple(changes)


def changed(change: MeasuredChange, thresholds: Thresholds) -> MeasuredChange | None:
    """The change, or None where it is within the thresholds or the noise. One without a name is
    that of a time."""
    if not beyond_noise(change.before, change.after):
        return None
    if change.name:
        return change if change.size > thresholds.metric else None
    low, high = sorted((change.before.median, change.after.median))
    enough = high - low >= thresholds.seconds and high >= low * thresholds.factor
    return change if enough else None


def sample(values: Sequence[float], errors: Sequence[float] = ()) -> Sample | None:
    """What the values of several attempts come to; None without any.

    ``errors``: the standard error of each value, where it is known.
    """
    if not values:
        return None
    if len(values) == 1:
        return Sample(values[0], max(errors, default=0.0), 1)
    middle = median(values)
    deviation = median(abs(value - middle) for value in values)
    return Sample(middle, max(MAD_TO_DEVIATION * deviation, *errors, 0.0), len(values))


def beyond_noise(before: Sample, after: Sample) -> bool:
    """Whether the medians are further apart than the spread of the attempts explains."""
    return abs(after.median - before.median) > SPREADS * max(before.spread, after.spread)


def _completed(result: CaseRecord) -> Iterator[AttemptRecord]:
    return (each for each in result.attempts if each.verdict in COMPLETED)


def _metrics(
    attempts: Iterable[AttemptRecord],
) -> dict[tuple[str, str, int], list[tuple[float, float]]]:
    """The values of each metric over the attempts, with their standard errors (0: unknown); one
    printed several times by the same guest is told apart by its number."""
    values: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for attempt in attempts:
        seen: dict[tuple[str, str], int] = {}
        printed = ((metric, 0.0) for metric in attempt.metrics)
        for metric, error in (*printed, *_of_migration(attempt), *_of_devices(attempt)):
            key = (metric.name, metric.unit)
            number = seen[key] = seen.get(key, 0) + 1
            if metric.value is not None:
                values.setdefault((*key, number), []).append((metric.value, error))
    return values


def _error_of_median(statistic: Statistic) -> float:
    """Its standard error. The expected extremes of n normally distributed values are those of Blom,
    "Statistical Estimates and Transformed Beta-Variables", 1958."""
    count = statistic.count
    if statistic.p90 is not None:
        deviation = (statistic.p90 - statistic.p50) / NormalDist().inv_cdf(0.9)
    elif statistic.min is not None and count > 1:
        extreme = NormalDist().inv_cdf((count - 0.375) / (count + 0.25))
        deviation = (statistic.max - statistic.min) / (2 * extreme)
    else:
        return 0.0
    return math.sqrt(math.pi / 2 / count) * deviation


def _of_migration(attempt: AttemptRecord) -> Iterator[tuple[MetricRecord, float]]:
    """What the hops of an attempt came to, as metrics with their standard errors."""
    summary = attempt.hops
    if summary is None:
        return
    for statistic in summary.statistics:
        for quantile, least in QUANTILES.items():
            value: float | None = getattr(statistic, quantile)
            if statistic.count >= least and value is not None:
                error = _error_of_median(statistic) if quantile == "p50" else 0.0
                yield MetricRecord(f"{statistic.name} {quantile}", value, statistic.unit), error
    if summary.seconds > 0:
        yield MetricRecord("hops per minute", 60 * summary.completed / summary.seconds), 0.0


def _of_devices(attempt: AttemptRecord) -> Iterator[tuple[MetricRecord, float]]:
    """How long the state of each device took in the hops of an attempt, as metrics likewise."""
    for statistic in attempt.hops.devices if attempt.hops is not None else ():
        if statistic.count >= QUANTILES["p50"]:
            metric = MetricRecord(f"{statistic.name} p50", statistic.p50, statistic.unit)
            yield metric, _error_of_median(statistic)
