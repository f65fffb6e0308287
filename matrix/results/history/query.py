"""Reads the past of runs and cases out of the history."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select

from matrix.errors import HostError
from matrix.migrating import FEWEST
from matrix.model import Verdict
from matrix.results.history import schema
from matrix.results.history.past import (
    CaseHistory,
    Entry,
    History,
    MetricKey,
    PastAttempt,
    PastRun,
)
from matrix.results.printable import printable

FEW = 10
"""Cases of which everything is read, metrics too, and from further back than is shown: a case may
have broken long ago."""

FAR_BACK = 1000
"""Runs of few cases that are read at most."""

MOST_NAMES = 400
"""In one query: some builds of SQLite take 999 parameters."""

MOST_BATCHES = 10
"""Of names; of more cases everything is read, and what is not wanted left out."""

STATISTICS = ("p50", "p99", "max")
"""Of migration's distributions: those that are shown as metrics of the case."""


_VERDICTS = {verdict.value: verdict for verdict in Verdict}


@dataclass(frozen=True, slots=True)
class _Known:
    """A case that the history knows."""

    id: str
    scenario: str
    suite: str


def read_history(
    connection: Connection,
    pattern: str = "",
    *,
    last: int = 20,
    host: str = "",
    eventful: bool = False,
) -> History:
    """The latest runs, and the past of cases in them.

    Args:
        connection: to the history.
        pattern: a case's id, a pattern with ``*``, ``?`` and ``[…]``, or a part of ids; empty for
            all cases.
        last: how many runs that have one of these cases; of few cases more, for when they broke.
        host: only runs on the host of that name; empty for all.
        eventful: only cases that did anything but pass or be skipped in these runs, of which there
            are few among many.
    """
    wanted = _matching(connection, pattern)
    few = 0 < len(wanted) <= FEW
    conditions = [schema.runs.c.hostname == host] if host else []
    having = [*conditions, _having(wanted)] if pattern else conditions
    runs = _runs(connection, having, max(last, FAR_BACK) if few else last)
    if eventful:
        wanted = _eventful(connection, runs, wanted)
    cases = _cases(connection, runs, wanted) if wanted and runs else []
    if few:
        metrics = _metrics(connection, runs, wanted)
        cases = [replace(case, metrics=metrics.get(case.id, {})) for case in cases]
    total = select(func.count()).select_from(schema.runs).where(*conditions)
    return History(tuple(runs.values()), connection.execute(total).scalar_one(), tuple(cases))


def _matching(connection: Connection, pattern: str) -> dict[int, _Known]:
    """The cases that are meant, by number."""
    table = schema.cases
    columns = select(table.c.id, table.c.case_id, table.c.scenario, table.c.suite)
    cases = {number: _Known(*rest) for number, *rest in connection.execute(columns)}
    if not pattern:
        return cases
    exact = {number: case for number, case in cases.items() if case.id == pattern}
    return exact or {number: case for number, case in cases.items() if _matcher(pattern)(case.id)}


def _matcher(pattern: str) -> Callable[[str], bool]:
    if any(sign in pattern for sign in "*?["):
        return lambda case_id: fnmatchcase(case_id, pattern)
    return lambda case_id: pattern in case_id


def _having(wanted: Mapping[int, _Known]) -> ColumnElement[bool]:
    """Runs that have one of these cases; of many cases, runs of their scenarios."""
    if len(wanted) <= MOST_NAMES:
        of_cases = select(schema.results.c.run).where(schema.results.c.case.in_(list(wanted)))
        return schema.runs.c.id.in_(of_cases)
    names = sorted({case.scenario for case in wanted.values()})
    return schema.runs.c.id.in_(
        select(schema.scenarios.c.run).where(schema.scenarios.c.name.in_(names))
    )


def _runs(
    connection: Connection, conditions: Collection[ColumnElement[bool]], last: int
) -> dict[int, PastRun]:
    """The latest runs, the latest last, by number."""
    table, results = schema.runs, schema.results
    latest = (table.c.started.desc(), table.c.id.desc())
    query = select(table).where(*conditions).order_by(*latest).limit(last)
    rows = {row.id: row for row in reversed(connection.execute(query).all())}
    scenarios: dict[int, list[str]] = {}
    counts: dict[int, list[tuple[Verdict, int]]] = {}
    for numbers in _batches(list(rows)):
        names = select(schema.scenarios.c.run, schema.scenarios.c.name)
        for run, name in connection.execute(names.where(schema.scenarios.c.run.in_(numbers))):
            scenarios.setdefault(run, []).append(name)
        counted = select(results.c.run, results.c.verdict, func.count())
        grouped = counted.where(results.c.run.in_(numbers)).group_by(
            results.c.run, results.c.verdict
        )
        for run, verdict, count in connection.execute(grouped):
            counts.setdefault(run, []).append((_verdict(verdict), count))
    return {
        number: _past_run(row, scenarios.get(number, []), counts.get(number, []))
        for number, row in rows.items()
    }


def _past_run(row: Row[Any], scenarios: list[str], counts: list[tuple[Verdict, int]]) -> PastRun:
    return PastRun(
        key=row.key,
        started=row.started,
        finished=row.finished,
        exit_code=row.exit_code,
        elapsed=row.elapsed,
        directory=row.directory,
        tool_version=row.tool_version,
        hostname=row.hostname,
        kernel=row.host_kernel,
        cpu_model=row.cpu_model,
        scenarios=tuple(sorted(scenarios)),
        counts=tuple(sorted(counts)),
    )


def _eventful(
    connection: Connection, runs: Mapping[int, PastRun], wanted: Mapping[int, _Known]
) -> dict[int, _Known]:
    """The cases that did not always pass, or were not always skipped."""
    table = schema.results
    quiet: dict[int, set[str]] = {}
    for numbers in _batches(list(runs)):
        query = (
            select(table.c.case, func.min(table.c.verdict), func.max(table.c.verdict))
            .where(table.c.run.in_(numbers))
            .group_by(table.c.case)
        )
        for case, first, last in connection.execute(query):
            quiet.setdefault(case, set()).update((first, last))
    uneventful = ({Verdict.PASS.value}, {Verdict.SKIP.value})
    return {
        number: case
        for number, case in wanted.items()
        if number in quiet and quiet[number] not in uneventful
    }


def _cases(
    connection: Connection, runs: Mapping[int, PastRun], wanted: Mapping[int, _Known]
) -> list[CaseHistory]:
    """The cases that one of the runs has, by id."""
    attempts = _attempts(connection, runs, wanted)
    entries: dict[int, dict[int, Entry]] = {}
    table = schema.results
    for row in _of_runs(connection, table, runs, wanted):
        entries.setdefault(row.case, {})[row.run] = Entry(
            run=runs[row.run],
            verdict=_verdict(row.verdict),
            reason=row.reason,
            seconds=row.seconds,
            accelerator=row.accelerator,
            qemu_version=row.qemu_version,
            suite_revision=row.suite_revision,
            attempts=tuple(attempts.get((row.run, row.case), ())),
        )
    found = (
        CaseHistory(
            wanted[number].id,
            wanted[number].suite,
            tuple(by_run[run] for run in runs if run in by_run),
        )
        for number, by_run in entries.items()
    )
    return sorted(found, key=lambda case: case.id)


def _attempts(
    connection: Connection, runs: Mapping[int, PastRun], wanted: Mapping[int, _Known]
) -> dict[tuple[int, int], list[PastAttempt]]:
    """By run and case, in order."""
    found: dict[tuple[int, int], list[tuple[int, PastAttempt]]] = {}
    for row in _of_runs(connection, schema.attempts, runs, wanted):
        attempt = PastAttempt(_verdict(row.verdict), row.seconds)
        found.setdefault((row.run, row.case), []).append((row.number, attempt))
    return {
        key: [attempt for _, attempt in sorted(rows, key=lambda each: each[0])]
        for key, rows in found.items()
    }


def _metrics(
    connection: Connection, runs: Mapping[int, PastRun], wanted: Mapping[int, _Known]
) -> dict[str, dict[MetricKey, tuple[tuple[float, ...], ...]]]:
    """Of each case the values of each metric by run: those that guests printed, and what the
    distributions of its migrations came to."""
    names = {row.id: (row.name, row.unit) for row in connection.execute(select(schema.metrics))}
    values: dict[str, dict[MetricKey, dict[int, list[float]]]] = {}

    def add(row: Row[Any], key: MetricKey, value: float) -> None:
        of_case = values.setdefault(wanted[row.case].id, {})
        of_case.setdefault(key, {}).setdefault(row.run, []).append(value)

    for row in _of_runs(connection, schema.measurements, runs, wanted):
        add(row, (*names[row.metric], row.ordinal), row.value)
    for row in _of_runs(connection, schema.statistics, runs, wanted):
        for quantile in STATISTICS:
            if quantile == "p99" and row._mapping["count"] < FEWEST:  # noqa: SLF001 - public, so named
                continue
            add(row, (f"{row.name} {quantile}", row.unit, 1), getattr(row, quantile))
    return {
        case_id: {
            key: tuple(tuple(by_run[run]) for run in runs if run in by_run)
            for key, by_run in sorted(metrics.items())
        }
        for case_id, metrics in values.items()
    }


def _of_runs(
    connection: Connection,
    table: Any,
    runs: Mapping[int, PastRun],
    wanted: Mapping[int, _Known],
) -> list[Row[Any]]:
    """The rows of a table that are of these runs and cases."""
    cases = list(wanted)
    rows: list[Row[Any]] = []
    for numbers in _batches(list(runs)):
        query = select(table).where(table.c.run.in_(numbers))
        if len(cases) <= MOST_BATCHES * MOST_NAMES:
            for some in _batches(cases):
                rows += connection.execute(query.where(table.c.case.in_(some)))
        else:
            rows += (row for row in connection.execute(query) if row.case in wanted)
    return rows


def _verdict(text: str) -> Verdict:
    """Raises HostError where it is none of ours."""
    try:
        return _VERDICTS[text]
    except KeyError:
        raise HostError(
            f"the history has a verdict {printable(text)!r}, which this program does not write"
        ) from None


def _batches(numbers: list[int]) -> list[list[int]]:
    return [numbers[start : start + MOST_NAMES] for start in range(0, len(numbers), MOST_NAMES)]
