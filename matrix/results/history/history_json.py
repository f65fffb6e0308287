"""``matrix history --json``: the past of runs and cases for other programs.

``{"database", "runs": […], "runs_in_all": N, "cases": […], "rules"}``; all lists have the latest
last. A run has

``key``, ``started``, ``finished``, ``exit_code``, ``elapsed``, ``directory``, ``hostname``,
``kernel``, ``cpu_model``, ``matrix``, ``scenarios``, ``counts``
    its name in the history; UTC; whether every case has a result; seconds; where it was; on which
    host; the tool's version; how many cases came to each verdict.

A case has

``id``, ``suite``
    what it is.
``results``
    ``[{"run", "verdict", "reason", "seconds", "accelerator", "qemu_version", "suite_revision",
    "attempts": [{"verdict", "seconds"}]}]``; ``run`` is a run's key.
``broke``
    null where it never did, else ``{"last_good", "first_bad", "fixed", "runs", "differences"}``:
    keys of runs (``fixed`` null while it is broken), how many runs were bad, and what else changed
    between the first two, as ``[{"what", "a", "b"}]``.
``flakiness``
    ``{"rate", "changes", "pairs"}``: how often the verdict changed between consecutive attempts in
    the same environment; ``rate`` is null where there are no two such attempts.
``seconds``, ``metrics``
    ``{"name", "unit", "medians", "overall", "before", "after", "change"}`` (null without a value),
    and a list of such: the median of each run, and as ``{"median", "spread", "count"}`` that of all
    attempts, of the latest runs and of those before (null where there are too few). ``change`` is
    null, or ``after`` by ``before`` where they differ by more than noise. ``metrics`` is null where
    too many cases were asked for.
"""

from collections.abc import Callable
from dataclasses import asdict

from matrix.results.compare.measured import Thresholds
from matrix.results.history.past import CaseHistory, Entry, History, PastRun
from matrix.results.history.trend import (
    Break,
    Trend,
    flakiness,
    last_break,
    metric_trends,
    time_trend,
)
from matrix.results.json_text import json_bytes


def write_document(write: Callable[[bytes], object], history: History, database: str) -> None:
    """Write the document of the module's description, one case at a time."""
    head = {"database": database, "runs_in_all": history.runs_in_all}
    write(json_bytes(head)[:-1] + b', "runs": [')
    for index, run in enumerate(history.runs):
        write((b",\n" if index else b"\n") + json_bytes(_run(run)))
    write(b'\n],\n"cases": [')
    for index, case in enumerate(history.cases):
        write((b",\n" if index else b"\n") + json_bytes(_case(case), nonfinite="null"))
    write(b'\n],\n"rules": ' + json_bytes({"change": Thresholds().rule()}) + b"}\n")


def _run(run: PastRun) -> dict[str, object]:
    document: dict[str, object] = asdict(run)
    document["matrix"] = document.pop("tool_version")
    document["counts"] = {verdict.value: count for verdict, count in run.counts}
    return document


def _case(case: CaseHistory) -> dict[str, object]:
    flaky, seconds = flakiness(case.entries), time_trend(case)
    found = last_break(case.entries)
    return {
        "id": case.id,
        "suite": case.suite,
        "results": [_entry(entry) for entry in case.entries],
        "broke": _break(found) if found is not None else None,
        "flakiness": {"rate": flaky.rate, "changes": flaky.changes, "pairs": flaky.pairs},
        "seconds": _trend(seconds) if seconds is not None else None,
        "metrics": [_trend(each) for each in metric_trends(case)] if case.metrics else None,
    }


def _entry(entry: Entry) -> dict[str, object]:
    names = ("verdict", "reason", "seconds", "accelerator", "qemu_version", "suite_revision")
    told = {name: getattr(entry, name) for name in names}
    return {"run": entry.run.key, **told, "attempts": entry.attempts}


def _break(found: Break) -> dict[str, object]:
    return {
        "last_good": found.last_good.run.key,
        "first_bad": found.first_bad.run.key,
        "fixed": found.fixed.run.key if found.fixed is not None else None,
        "runs": found.bad,
        "differences": found.differences,
    }


def _trend(trend: Trend) -> dict[str, object]:
    document: dict[str, object] = asdict(trend)
    document["change"] = trend.change.factor if trend.change is not None else None
    return document
