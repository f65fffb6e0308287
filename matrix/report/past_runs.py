"""What the history of runs knows of a page's cases: verdicts, times and metrics over the runs."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from matrix.report.case_rows import VERDICTS
from matrix.results.history.connection import Session
from matrix.results.history.past import CaseHistory, History, PastRun
from matrix.results.history.query import read_eventful, read_history
from matrix.results.history.trend import flakiness, last_break, metric_trends
from matrix.results.printable import printable, shortened

MANY_CASES = 500
"""With more, only those are shown that did anything but pass or be skipped."""

MOST_CASES = 2_000
MOST_MEASURED = 40
"""Cases whose metrics are read: one question to the database each."""

MOST_TRENDS = 60
"""Metrics of a case."""


def past_document(
    session: Session, case_ids: Sequence[str], measured: Iterable[str], last: int
) -> dict[str, object] | None:
    """The past of a page's cases, for its script; None where the history knows none of them.

    Args:
        session: of the history.
        case_ids: of the page, in its order.
        measured: those of them that have metrics.
        last: how many runs.
    """
    positions = {case_id: position for position, case_id in enumerate(case_ids)}
    shown: Iterable[str] = positions
    if len(positions) > MANY_CASES:
        eventful = read_eventful(session, last=last).cases
        shown = islice((case.id for case in eventful if case.id in positions), MOST_CASES)
    history = read_history(session, last=last, only=set(shown))
    known = history.cases[:MOST_CASES]
    if not known:
        return None
    metrics = dict(_metrics(session, measured, last))
    runs = history.runs[-last:]  # of few cases more are read, for when they broke
    places = {run.key: place for place, run in enumerate(runs)}
    return {
        "runs": [_run(run) for run in runs],
        "cases": [_case(case, positions[case.id], places, metrics) for case in known],
        "all": len(positions) <= MANY_CASES,
    }


def _metrics(
    session: Session, measured: Iterable[str], last: int
) -> Iterator[tuple[str, list[object]]]:
    for case_id in list(dict.fromkeys(measured))[:MOST_MEASURED]:
        found = _one_case(read_history(session, _exactly(case_id), last=last), case_id)
        if found is None:
            continue
        trends: list[object] = [
            [printable(trend.name), printable(trend.unit), list(trend.medians[-last:])]
            for trend in metric_trends(found)
        ]
        yield case_id, trends[:MOST_TRENDS]


def _exactly(case_id: str) -> str:
    """A pattern that only that id matches: an id may hold a ``[`` or a ``*``."""
    special = {"[": "[[]", "*": "[*]", "?": "[?]"}
    return "".join(special.get(character, character) for character in case_id)


def _one_case(history: History, case_id: str) -> CaseHistory | None:
    return next((case for case in history.cases if case.id == case_id), None)


def _run(run: PastRun) -> dict[str, object]:
    return {
        "key": printable(run.key),
        "started": printable(run.started)[:19].replace("T", " "),
        "host": printable(run.hostname),
        "kernel": printable(run.kernel),
        "elapsed": run.elapsed,
        "counts": [[verdict.value, count] for verdict, count in run.counts if count],
    }


def _case(
    case: CaseHistory,
    position: int,
    places: dict[str, int],
    metrics: dict[str, list[object]],
) -> dict[str, object]:
    verdicts: list[int | None] = [None] * len(places)
    seconds: list[float | None] = [None] * len(places)
    for entry in case.entries:
        place = places.get(entry.run.key)
        if place is not None:
            verdicts[place] = VERDICTS.index(entry.verdict.value)
            seconds[place] = round(entry.seconds, 4)
    return {
        "case": position,
        "verdicts": verdicts,
        "seconds": seconds,
        "broke": _broke(case),
        "flaky": flakiness(case.entries).rate,
        "metrics": metrics.get(case.id, []),
    }


def _broke(case: CaseHistory) -> dict[str, object] | None:
    """Since when it is broken, and what else changed then; None where it is not."""
    found = last_break(case.entries)
    if found is None or found.fixed is not None:
        return None
    return {
        "good": printable(found.last_good.run.started)[:19].replace("T", " "),
        "bad": printable(found.first_bad.run.started)[:19].replace("T", " "),
        "runs": found.bad,
        "reason": shortened(found.first_bad.reason, 240),
        "changed": [
            [each.what, printable(each.a), printable(each.b)] for each in found.differences
        ],
    }
