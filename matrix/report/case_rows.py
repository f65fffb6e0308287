"""The cases of a page: one row each in columns, and the details that a click unpacks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from matrix.model import AXIS_NAMES, Accelerator, AcceleratorLabel
from matrix.plan.decisions import LOCAL, Decision
from matrix.report.areas import areas_of
from matrix.report.excerpts import SHORT, WHOLE, Text, texts_of
from matrix.report.histograms import Histogram, histograms
from matrix.report.packing import Packer, Where
from matrix.results.case_record import AttemptRecord, CaseRecord, MetricRecord
from matrix.results.labels import axis_texts
from matrix.results.outcome import WORST_FIRST
from matrix.results.printable import printable, shortened
from matrix.results.run_record import RunRecord
from matrix.verdict.assists import assist_words
from matrix.verdicts import Subtest, SubtestVerdict, Verdict

VERDICTS = tuple(verdict.value for verdict in WORST_FIRST)
"""In the order in which they are listed; a row has its verdict's number in it."""

LONGEST_REASON = 240
"""Characters of a reason in a row; the details have all of it."""

MOST_SUBTESTS = 1_000
"""Of those in a case's details that did not pass, and as many that did."""

MOST_ATTEMPTS = 20
"""In a case's details; those that did not pass first."""

MOST_METRICS = 400
"""Of an attempt."""

LONGEST_WORDS = 2_000
"""Characters of a name or a message."""

AXES = ("run", "scenario", *AXIS_NAMES, "test")
"""What a row says of its case in words, in the order in which it is shown."""


@dataclass(slots=True)
class Words:
    """Strings that many rows share, each written once."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        """The number that stands for a text."""
        return self.numbers.setdefault(text, len(self.numbers))

    def list(self) -> list[str]:
        """The texts, in the order of their numbers."""
        return list(self.numbers)


@dataclass(slots=True)
class Row:
    """One case in the page's table."""

    run: int
    case_id: str
    axes: tuple[str, ...]
    """Values of :data:`AXES`, printable, empty where the case has none."""
    asked: tuple[str, ...]
    """The same as the plan has them: no host, and nothing that was found out, is in it."""
    areas: tuple[int, ...]
    accelerator: str
    """What it really ran under, empty where it did not."""
    host: str = ""
    """Name of the machine that the plan runs it on, empty where it is skipped."""
    verdict: Verdict | None = None
    """None: it was not run to its end."""
    reason: str = ""
    seconds: float = 0.0
    reused: bool = False
    """The result is that of an earlier run."""
    where: Where | None = None


def new_row(
    run: int, run_name: str, decision: Decision, versions: dict[tuple[str, str], str]
) -> Row:
    """The row of a case whose result is not known yet.

    Args:
        run: number of the run among those of the page.
        run_name: what it is called.
        decision: of the plan.
        versions: of (qemu, architecture).
    """
    case = decision.case
    variant = case.variant
    values = {name: printable(text) for name, text in axis_texts(variant).items()}
    values |= {"run": run_name, "scenario": printable(case.scenario)}
    values["test"] = shortened(case.test.name, LONGEST_REASON)
    asked = tuple(values.get(name, "") for name in AXES)
    values["qemu"] = qemu_label(variant.qemu, versions.get((variant.qemu, variant.arch.value), ""))
    return Row(
        run=run,
        case_id=printable(case.id),
        axes=tuple(values.get(name, "") for name in AXES),
        asked=asked,
        areas=areas_of(case),
        accelerator="",
    )


def qemu_label(name: str, version: str) -> str:
    """``7.2.22 (system)``; the name alone where the version is unknown or begins with it."""
    name, version = printable(name), printable(version).partition(" ")[0]
    if not version or version == name:
        return name
    return version if version.startswith(name) else f"{version} ({name})"


def fill_row(row: Row, result: CaseRecord) -> None:
    """Write into a row what its case came to."""
    row.verdict = result.verdict
    row.reused = result.reused is not None
    row.reason = shortened(result.reason, LONGEST_REASON)
    row.seconds = result.seconds if math.isfinite(result.seconds) else 0.0
    known = tuple(AcceleratorLabel)
    row.accelerator = result.accelerator if result.accelerator in known else ""
    if row.accelerator:
        values = dict(zip(AXES, row.axes, strict=True)) | {"accel": row.accelerator}
        row.axes = tuple(values.values())


def settle_skips(rows: Iterable[Row]) -> None:
    """Give cases that never came to an accelerator, as they were skipped, that of the cases of the
    same variant that ran, where it is one: they are of one row of the matrix."""
    place, test = AXES.index("accel"), AXES.index("test")
    waiting: dict[tuple[str, ...], list[Row]] = {}
    found: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        variant = tuple(text for at, text in enumerate(row.axes) if at not in (place, test))
        if row.accelerator:
            found.setdefault(variant, set()).add(row.accelerator)
        elif row.axes[place] == Accelerator.AUTO:
            waiting.setdefault(variant, []).append(row)
    for variant, skipped in waiting.items():
        if len(ran := found.get(variant, ())) == 1:
            for row in skipped:
                row.axes = (*row.axes[:place], *ran, *row.axes[place + 1 :])


class Details:
    """Gathers the details of cases, in the order given, as long as there is room."""

    def __init__(self, budget: int) -> None:
        self.packer = Packer(budget)
        self.reserve = budget // 6
        """What is kept for the cases whose consoles have no room, some 100 characters each."""
        self.full = False
        self.shortened = 0
        """Cases whose consoles the page had no room for."""
        self.histograms: list[dict[str, object]] = []
        self.metrics: list[list[object]] = []
        self.measured: dict[int, None] = {}
        """Positions of the cases that have metrics."""

    def add(self, position: int, row: Row, record: RunRecord, result: CaseRecord) -> None:
        """Take in one case's details; ``row`` is told where they are."""
        shown = _telling_first(result)[:MOST_ATTEMPTS]
        folders = {each.number: record.run.inside(each.artifacts) for each in shown}
        excerpts = SHORT if result.verdict.good else WHOLE
        measured = any(attempt.metrics for attempt in shown)
        texts: dict[int, tuple[Text, ...]] = {}
        if measured or not self.full:
            texts = {
                number: texts_of(folder, excerpts)
                for number, folder in folders.items()
                if folder is not None
            }
        self._take_measurements(position, result, texts)
        if not self.full:
            row.where = self.packer.add(_document(result, folders, texts), keep=self.reserve)
            self.full = row.where is None
        if row.where is None:
            self.shortened += bool(result.attempts)
            row.where = self.packer.add(_document(result, folders, {}))

    def _take_measurements(
        self, position: int, result: CaseRecord, texts: dict[int, tuple[Text, ...]]
    ) -> None:
        for attempt in result.attempts:
            for metric in attempt.metrics[:MOST_METRICS]:
                if len(self.metrics) < MOST_POINTS and metric.value is not None:
                    self.metrics.append([position, attempt.number, *_metric(metric)])
                    self.measured.setdefault(position)
            for each in _histograms(texts.get(attempt.number, ())):
                if len(self.histograms) < MOST_HISTOGRAMS:
                    self.histograms.append(
                        {
                            "case": position,
                            "attempt": attempt.number,
                            "name": printable(each.name),
                            "unit": each.unit,
                            "buckets": each.buckets,
                        }
                    )


MOST_POINTS = 40_000
"""Numbers that guests printed, over all cases of a page."""

MOST_HISTOGRAMS = 2_000


def _histograms(texts: Iterable[Text]) -> Iterable[Histogram]:
    for text in texts:
        if text.name == "console.log":
            yield from histograms(f"{text.head}\n{text.tail}")


def _telling_first(result: CaseRecord) -> tuple[AttemptRecord, ...]:
    return tuple(sorted(result.attempts, key=lambda each: WORST_FIRST.index(each.verdict)))


def _document(
    result: CaseRecord, folders: dict[int, Path | None], texts: dict[int, tuple[Text, ...]]
) -> dict[str, object]:
    attempts = _telling_first(result)
    shown = sorted(attempts[:MOST_ATTEMPTS], key=lambda each: each.number)
    return {
        "reason": printable(result.reason)[:LONGEST_WORDS],
        **_about(result),
        "reused": printable(_origin(result)),
        "attempts": [
            _attempt(each, texts.get(each.number, ()), linked=folders.get(each.number) is not None)
            for each in shown
        ],
        "left_out": len(attempts) - len(shown),
    }


def _origin(case: CaseRecord) -> str:
    """Where a reused result comes from: the case's folder there, relative to the run's, if such a
    path leads there; empty for a result of the run itself."""
    if case.reused is None:
        return ""
    return f"{case.reused.run}/{case.reused.artifacts}".rstrip("/")


def _about(case: CaseRecord) -> dict[str, object]:
    return {
        "suite": printable(case.suite),
        "image": printable(case.image),
        "arguments": printable(case.arguments),
        "groups": [printable(each) for each in case.groups],
    }


def _attempt(attempt: AttemptRecord, texts: tuple[Text, ...], *, linked: bool) -> dict[str, object]:
    """One attempt; its folder is named only where it is one of the run's own (``linked``)."""
    bad = [each for each in attempt.subtests if each.verdict is not SubtestVerdict.PASS]
    passed = [each for each in attempt.subtests if each.verdict is SubtestVerdict.PASS]
    shown = bad[:MOST_SUBTESTS] + (passed[:MOST_SUBTESTS] if texts else [])
    return {
        "number": attempt.number,
        "verdict": attempt.verdict,
        "observed": attempt.observed,
        "reason": printable(attempt.reason)[:LONGEST_WORDS],
        "seconds": attempt.seconds,
        "accelerator": printable(attempt.accelerator),
        "why": printable(attempt.accelerator_reason),
        "host": "" if attempt.host == LOCAL else printable(attempt.host),
        "assists": assist_words(attempt.assists.items()),
        "counts": list(attempt.subtest_counts.items()),
        "subtests": [_subtest(each) for each in shown],
        "more": len(attempt.subtests) - len(shown) + attempt.subtests_dropped,
        "metrics": [_metric(each) for each in attempt.metrics[:MOST_METRICS]],
        "artifacts": printable(attempt.artifacts) if linked else "",
        "texts": [[text.name, text.size, text.head, text.tail, text.omitted] for text in texts],
    }


def _metric(metric: MetricRecord) -> list[object]:
    return [printable(metric.name), metric.value, printable(metric.unit)]


def _subtest(subtest: Subtest) -> list[str]:
    name, message = printable(subtest.name), printable(subtest.message)
    return [subtest.verdict.value, name[:LONGEST_WORDS], message[:LONGEST_WORDS]]
