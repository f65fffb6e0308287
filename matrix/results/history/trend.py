"""What a case's past says of it: when it broke, how flaky it is, where its times go. Pure.

Rules. *Good* is a pass, also one that was not expected, and a failure that was; *bad* is any other
verdict but a skip and an error, which say nothing of the case. A case **broke** between its last
good run and the first bad one after it. It is **flaky** as often as its verdict changed from one
attempt to the next while QEMU, accelerator, host kernel, host CPU and the suite's revision stayed
the same. A time or a metric has a **trend** where the attempts of the latest runs differ from those
before by more than :mod:`matrix.results.compare.measured` takes for noise.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import median

from matrix.results.compare.changes import Difference, MeasuredChange, Sample
from matrix.results.compare.measured import COMPLETED, Thresholds, changed, sample
from matrix.results.compare.run_differences import short_revision
from matrix.results.history.past import CaseHistory, Entry
from matrix.verdicts import Verdict

TELLING_NOTHING = (Verdict.SKIP, Verdict.ERROR)

LATEST = 5
"""Runs that a trend compares with those before, or the latter half where there are fewer than
twice as many."""

LEAST = 3
"""Attempts on each side, without which there is no trend."""

_FACTS: tuple[tuple[str, Callable[[Entry], str]], ...] = (
    ("QEMU", lambda entry: entry.qemu_version),
    ("accelerator", lambda entry: entry.accelerator),
    ("host kernel", lambda entry: entry.kernel),
    ("host CPU", lambda entry: entry.cpu_model),
    ("host", lambda entry: entry.run.hostname),
    ("suite revision", lambda entry: short_revision(entry.suite_revision)),
    ("matrix", lambda entry: entry.run.tool_version),
)


@dataclass(frozen=True, slots=True)
class Break:
    """When a case broke last."""

    last_good: Entry
    first_bad: Entry
    fixed: Entry | None
    """The first good run after it; None while it is broken."""
    bad: int
    """Runs that were bad in it."""

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What else changed between the last good run and the first bad one."""
        pairs = ((what, fact(self.last_good), fact(self.first_bad)) for what, fact in _FACTS)
        return tuple(Difference(what, a, b) for what, a, b in pairs if a != b)


@dataclass(frozen=True, slots=True)
class Flakiness:
    """How often a verdict changed while nothing else did."""

    changes: int
    pairs: int
    """Of consecutive attempts in the same environment."""

    @property
    def rate(self) -> float | None:
        """From 0 to 1; None where there is nothing to tell it from."""
        return self.changes / self.pairs if self.pairs else None


@dataclass(frozen=True, slots=True)
class Trend:
    """A time or a metric over the runs."""

    name: str
    """Empty for the time of an attempt."""
    unit: str
    medians: tuple[float, ...]
    """Of each run that has a value, the latest last."""
    overall: Sample
    before: Sample | None = None
    after: Sample | None = None
    """The latest runs, and those before; None where there are too few."""
    change: MeasuredChange | None = None
    """Where the latest are beyond the noise of those before."""


def telling(entries: Sequence[Entry]) -> list[Entry]:
    """Those that say something of the case."""
    return [entry for entry in entries if entry.verdict not in TELLING_NOTHING]


def last_break(entries: Sequence[Entry]) -> Break | None:
    """When a case broke last; None where it never did, or was never good before.

    Args:
        entries: of the case, the latest last.
    """
    told = telling(entries)
    for index in range(len(told) - 1, 0, -1):
        if told[index - 1].verdict.good and not told[index].verdict.good:
            bad = list(takewhile(lambda entry: not entry.verdict.good, told[index:]))
            fixed = next(iter(told[index + len(bad) :]), None)
            runs = sum(entry.runs for entry in bad)
            return Break(told[index - 1], bad[0].first, fixed and fixed.first, runs)
    return None


def flakiness(entries: Sequence[Entry]) -> Flakiness:
    """How often the verdict changed while nothing else did; ``entries`` the latest last."""
    changes = pairs = 0
    former: tuple[tuple[str, ...], Verdict] | None = None
    for entry in entries:
        environment = _environment(entry)
        told = [each.verdict for each in entry.attempts if each.verdict not in TELLING_NOTHING]
        if not told:
            continue
        if former is not None and former[0] == environment:
            pairs += 1
            changes += former[1] is not told[0]
        pairs += entry.runs * len(told) - 1
        changes += entry.runs * sum(map(operator.is_not, told, told[1:]))
        changes += (entry.runs - 1) * (told[-1] is not told[0])
        former = (environment, told[-1])
    return Flakiness(changes, pairs)


def time_trend(history: CaseHistory, thresholds: Thresholds | None = None) -> Trend | None:
    """How the time of an attempt developed; None where none completed."""
    runs = [
        tuple(each.seconds for each in entry.attempts if each.verdict in COMPLETED)
        for entry in history.entries
    ]
    return _trend("", "s", [values for values in runs if values], thresholds or Thresholds())


def metric_trends(history: CaseHistory, thresholds: Thresholds | None = None) -> Iterator[Trend]:
    """How each metric developed."""
    for (name, unit, number), runs in history.metrics.items():
        shown = f"{name} ({number})" if number > 1 else name
        found = _trend(shown, unit, runs, thresholds or Thresholds())
        if found is not None:
            yield found


def _trend(
    name: str, unit: str, runs: Sequence[tuple[float, ...]], thresholds: Thresholds
) -> Trend | None:
    overall = sample([value for values in runs for value in values])
    if overall is None:
        return None
    medians = tuple(median(values) for values in runs)
    latest = min(LATEST, len(runs) // 2)
    before = sample([value for values in runs[: len(runs) - latest] for value in values])
    after = sample([value for values in runs[len(runs) - latest :] for value in values])
    if before is None or after is None or min(before.count, after.count) < LEAST:
        return Trend(name, unit, medians, overall)
    change = changed(MeasuredChange(name, unit, before, after), thresholds)
    return Trend(name, unit, medians, overall, before, after, change)


def _environment(entry: Entry) -> tuple[str, ...]:
    """What may change a verdict without the case being flaky. Not the host's name, which is another
    one in every container."""
    return (
        entry.qemu_version,
        entry.accelerator,
        entry.kernel,
        entry.cpu_model,
        entry.suite_revision,
    )
