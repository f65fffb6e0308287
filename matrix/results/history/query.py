"""Reads the past of runs and cases out of the history."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from pydantic_core import from_json

from matrix.errors import HostError
from matrix.results.history.connection import Row, Session, listed
from matrix.results.history.past import (
    CaseHistory,
    Entry,
    History,
    MetricKey,
    PastAttempt,
    PastRun,
)
from matrix.results.history.records import outcome
from matrix.results.printable import printable
from matrix.verdicts import Verdict

FEW = 10
"""Cases of which metrics are read too, and all from further back than is shown: a case may have
broken long ago."""

FAR_BACK = 1000
"""Runs of few cases that are read at most."""

MOST_NAMES = 400
"""In one query: some builds of SQLite take 999 parameters. Of more cases everything is read, and
what is not wanted left out."""

STATISTICS = ("p50", "p99", "max")
"""Of migration's distributions: those that are shown as metrics of the case."""

_QUIET = ({Verdict.PASS}, {Verdict.SKIP})
"""Verdicts of cases that did nothing worth telling."""

_VERDICTS = {verdict.value: verdict for verdict in Verdict}

_OF_RUN = ("key", "started", "hostname", "exit_code", "elapsed", "directory")
_RUN = f"SELECT id, finished, counts, info, {', '.join(_OF_RUN)}"


class _Known(NamedTuple):
    """A case that the history knows."""

    id: str
    scenario: str
    suite: str


class _Environment(NamedTuple):
    """What an entry says of it."""

    accelerator: str
    qemu_version: str
    suite_revision: str
    kernel: str
    cpu_model: str


def read_history(
    session: Session,
    pattern: str = "",
    *,
    last: int = 20,
    host: str = "",
    only: Collection[str] | None = None,
) -> History:
    """The latest runs, and the past of cases in them.

    Args:
        session: of the history.
        pattern: a case's id, a pattern with ``*``, ``?`` and ``[…]``, or a part of ids; empty for
            all cases.
        last: how many runs that have one of these cases; of few cases more, for when they broke.
        host: only runs on the host of that name; empty for all.
        only: ids of the cases that are given, of those that are meant; None for all.
    """
    known = _known(session)
    wanted = _matching(known, pattern) if pattern else known
    few = 0 < len(wanted) <= FEW
    having = wanted if pattern else None
    runs = _runs(session, host, having, max(last, FAR_BACK) if few else last)
    if only is not None:
        wanted = {number: case for number, case in wanted.items() if case.id in only}
    cases = _cases(session, runs, wanted, measured=few)
    return History(tuple(runs.values()), _count(session, host), cases)


def read_eventful(session: Session, *, last: int = 20, host: str = "") -> History:
    """The latest runs, and the cases that did anything but always pass or always be skipped in
    them; their entries stand for runs in a row in which they did the same. Arguments as
    :func:`read_history`; a million results take a second and little memory (benchmarks/history.py):
    SQL's window functions take five for the same."""
    known, runs = _known(session), _runs(session, host, None, last)
    environments = _environments(session)
    query = 'SELECT "case", verdict, attempts, environment FROM results WHERE run = :run'
    spans: dict[int, list[_Span]] = {}
    latest: dict[int, _Span] = {}
    for number, run in runs.items():
        for row in session.read(query, {"run": number}):
            span = latest.get(row[0])
            if span is not None and span.row == row:
                span.last = run
                span.runs += 1
            else:
                latest[row[0]] = span = _Span(row, run)
                spans.setdefault(row[0], []).append(span)
    cases = (
        CaseHistory(
            known[number].id,
            known[number].suite,
            tuple(each.entry(environments) for each in of_case),
        )
        for number, of_case in spans.items()
        if {_verdict(each.row[1]) for each in of_case} not in _QUIET
    )
    found = tuple(sorted(cases, key=lambda case: case.id))
    return History(tuple(runs.values()), _count(session, host), found)


class _Span:
    """Runs in a row in which a case came to the same."""

    __slots__ = ("first", "last", "row", "runs")

    def __init__(self, row: tuple[Any, ...], run: PastRun) -> None:
        self.row = row
        self.first = self.last = run
        self.runs = 1

    def entry(self, environments: Mapping[int, _Environment]) -> Entry:
        _, verdict, attempts, environment = self.row
        verdicts = [verdict] if attempts is None else attempts.split()
        return Entry(
            self.last,
            _verdict(verdict),
            "",
            0.0,
            *environments[environment],
            tuple(PastAttempt(_verdict(each), 0.0) for each in verdicts),
            self.runs,
            self.first,
        )


def _known(session: Session) -> dict[int, _Known]:
    """The cases, by number."""
    rows = session.read("SELECT id, case_id, scenario, suite FROM cases")
    return {number: _Known(*rest) for number, *rest in rows}


def _matching(cases: Mapping[int, _Known], pattern: str) -> dict[int, _Known]:
    """The cases that are meant, by number."""
    exact = {number: case for number, case in cases.items() if case.id == pattern}
    matches = _matcher(pattern)
    return exact or {number: case for number, case in cases.items() if matches(case.id)}


def _matcher(pattern: str) -> Callable[[str], bool]:
    if any(sign in pattern for sign in "*?["):
        return lambda case_id: fnmatchcase(case_id, pattern)
    return lambda case_id: pattern in case_id


def _count(session: Session, host: str) -> int:
    """How many runs there are in all."""
    query = "SELECT count(*) FROM runs WHERE :host = '' OR hostname = :host"
    return int(session.read(query, {"host": host})[0][0])


def _runs(
    session: Session, host: str, having: Mapping[int, _Known] | None, last: int
) -> dict[int, PastRun]:
    """The latest runs, the latest last, by number.

    Args:
        session: of the history.
        host: where they were; empty for any.
        having: cases of which they have one, or of many cases one of their scenarios; None for any.
        last: how many.
    """
    if having is not None and not having:
        return {}
    conditions = ["(:host = '' OR hostname = :host)"]
    values: Row = {"host": host, "last": last}
    if having is not None:
        of_cases, parameters = _having(having)
        found = f"SELECT 1 FROM results {of_cases} AND run = runs.id"  # noqa: S608 - parameters
        conditions.append(f"EXISTS ({found})")
        values |= parameters
    query = f"{_RUN} FROM runs WHERE {' AND '.join(conditions)}"
    rows = session.read(f"{query} ORDER BY started DESC, id DESC LIMIT :last", values)
    return {number: _past_run(*rest) for number, *rest in reversed(rows)}


def _having(cases: Mapping[int, _Known]) -> tuple[str, Row]:
    if len(cases) <= MOST_NAMES:
        numbers, values = listed(cases)
        return f'WHERE "case" IN ({numbers})', values
    names, values = listed(sorted({case.scenario for case in cases.values()}))
    return f'JOIN cases ON cases.id = results."case" WHERE scenario IN ({names})', values


def _past_run(finished: bool, counts: str, info: str, *rest: Any) -> PastRun:
    details = from_json(info)
    return PastRun(
        **dict(zip(_OF_RUN, rest, strict=True)),
        finished=bool(finished),
        tool_version=details["tool_version"],
        kernel=details["host"]["kernel"],
        cpu_model=details["host"]["cpu_model"],
        scenarios=tuple(sorted({each["name"] for each in details["scenarios"]})),
        counts=tuple(sorted((_verdict(each), n) for each, n in from_json(counts).items())),
    )


def _environments(session: Session) -> dict[int, _Environment]:
    query = f"SELECT id, {', '.join(_Environment._fields)} FROM environments"  # noqa: S608 - ours
    return {number: _Environment(*rest) for number, *rest in session.read(query)}


def _cases(
    session: Session, runs: Mapping[int, PastRun], wanted: Mapping[int, _Known], *, measured: bool
) -> tuple[CaseHistory, ...]:
    """The cases that one of the runs has, by id, with their metrics where they are ``measured``."""
    entries: dict[int, list[Entry]] = {}
    metrics: dict[int, dict[MetricKey, list[tuple[float, ...]]]] = {}
    for run, case, verdict, seconds, text, *environment in _results(session, runs, wanted):
        record = outcome(verdict, seconds, text)
        attempts = record["attempts"]
        entry = Entry(
            runs[run],
            _verdict(verdict),
            record.get("reason", ""),
            seconds,
            *_Environment(*environment),
            tuple(PastAttempt(_verdict(each["verdict"]), each["seconds"]) for each in attempts),
        )
        entries.setdefault(case, []).append(entry)
        if measured:
            for key, values in _measured(attempts).items():
                metrics.setdefault(case, {}).setdefault(key, []).append(tuple(values))
    found = (
        CaseHistory(wanted[case].id, wanted[case].suite, tuple(of_case), _sorted(metrics.get(case)))
        for case, of_case in entries.items()
    )
    return tuple(sorted(found, key=lambda case: case.id))


def _results(
    session: Session, runs: Iterable[int], wanted: Collection[int]
) -> Iterator[tuple[Any, ...]]:
    """Run, case, verdict, seconds, record and what :class:`_Environment` has of each result, the
    latest run last."""
    if not wanted:
        return
    columns = f"""
        SELECT run, "case", verdict, seconds, record, {", ".join(_Environment._fields)}
        FROM results JOIN environments ON environments.id = environment WHERE
    """  # noqa: S608 - names are ours
    numbers, values = listed(wanted if len(wanted) <= MOST_NAMES else ())
    if len(wanted) <= FEW:  # rather than to ask once for each of many runs
        places = {run: place for place, run in enumerate(runs)}
        found = session.read(f'{columns} "case" IN ({numbers})', values)
        yield from sorted((x for x in found if x[0] in places), key=lambda x: places[x[0]])
        return
    query = f"{columns} run = :run" + (f' AND "case" IN ({numbers})' if values else "")
    for run in runs:
        rows = session.read(query, {**values, "run": run})
        yield from (row for row in rows if row[1] in wanted)


def _measured(attempts: Iterable[Mapping[str, Any]]) -> dict[MetricKey, list[float]]:
    """What guests printed in a run, and what the distributions of its migrations came to."""
    found: dict[MetricKey, list[float]] = {}
    for attempt in attempts:
        seen: dict[tuple[str, str], int] = {}
        for metric in attempt.get("metrics", ()):
            name = (metric["name"], metric["unit"])
            number = seen[name] = seen.get(name, 0) + 1
            if metric["value"] is not None:
                found.setdefault((*name, number), []).append(metric["value"])
        for statistic in (attempt.get("hops") or {}).get("statistics", ()):
            for quantile in STATISTICS:
                if statistic[quantile] is not None:
                    key = (f"{statistic['name']} {quantile}", statistic["unit"], 1)
                    found.setdefault(key, []).append(statistic[quantile])
    return found


def _sorted(
    metrics: Mapping[MetricKey, list[tuple[float, ...]]] | None,
) -> dict[MetricKey, tuple[tuple[float, ...], ...]]:
    return {key: tuple(values) for key, values in sorted((metrics or {}).items())}


def _verdict(text: str) -> Verdict:
    """Raises HostError where it is none of ours."""
    try:
        return _VERDICTS[text]
    except KeyError:
        raise HostError(
            f"the history has a verdict {printable(text)!r}, which this program does not write"
        ) from None
