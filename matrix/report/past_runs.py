"""What the history of runs knows of a page's cases: verdicts, times and metrics over the runs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from matrix.report.case_rows import VERDICTS, Row
from matrix.results.history.connection import Session
from matrix.results.history.past import CaseHistory, Entry, History, PastRun
from matrix.results.history.query import read_eventful, read_history
from matrix.results.history.trend import flakiness, last_break, metric_trends, telling
from matrix.results.printable import printable, shortened
from matrix.verdicts import Verdict

MANY_CASES = 500
"""With more, only those are shown that did anything but pass or be skipped."""

MOST_CASES = 2_000
MOST_MEASURED = 40
"""Cases whose metrics are read: one question to the database each."""

MOST_TRENDS = 60
"""Metrics of a case."""

NEWS_OF_MANY = 10
"""Runs that are looked at for what is new in more than :data:`MANY_CASES` cases."""


@dataclass(frozen=True, slots=True)
class News:
    """What a page's cases came to that they had not come to in their latest earlier run."""

    since: str
    """When the latest of the earlier runs was started."""
    broke: tuple[Row, ...]
    fixed: tuple[Row, ...]
    new: int
    """Cases that none of the earlier runs has."""
    same: int
    """Cases that are as good or bad as they were."""


def read_news(session: Session, rows: Sequence[Row], started: str, last: int) -> News | None:
    """What is new; None where the history has no earlier run with one of the cases.

    Args:
        session: of the history.
        rows: the cases of the page, of several runs the latest last.
        started: when the first of the page's runs was, as
            :func:`matrix.results.history.key.sortable` writes it.
        last: how many runs are looked at, of many cases at most :data:`NEWS_OF_MANY`.
    """
    latest = {row.case_id: row for row in rows if row.verdict not in (None, Verdict.SKIP)}
    runs = last if len(latest) <= MANY_CASES else min(last, NEWS_OF_MANY)
    history = read_history(session, last=runs, only=set(latest))
    before: dict[str, Entry] = {}
    for case in history.cases:
        earlier = [each for each in telling(case.entries) if each.run.started < started]
        if earlier:
            before[case.id] = earlier[-1]
    if not before:
        return None
    changed: dict[bool, list[Row]] = {False: [], True: []}
    for case_id, entry in before.items():
        row = latest[case_id]
        if row.verdict is not None and row.verdict.good is not entry.verdict.good:
            changed[row.verdict.good].append(row)
    broke, fixed = changed[False], changed[True]
    return News(
        since=_moment(max(entry.run.started for entry in before.values())),
        broke=tuple(broke),
        fixed=tuple(fixed),
        new=len(latest) - len(before),
        same=len(before) - len(broke) - len(fixed),
    )


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
        "started": _moment(run.started),
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


def _moment(started: str) -> str:
    return printable(started)[:19].replace("T", " ")


def _broke(case: CaseHistory) -> dict[str, object] | None:
    """Since when it is broken, and what else changed then; None where it is not."""
    found = last_break(case.entries)
    if found is None or found.fixed is not None:
        return None
    return {
        "good": _moment(found.last_good.run.started),
        "bad": _moment(found.first_bad.run.started),
        "runs": found.bad,
        "reason": shortened(found.first_bad.reason, 240),
        "changed": [
            [each.what, printable(each.a), printable(each.b)] for each in found.differences
        ],
    }
