"""Writes a run into the history: one transaction, all of it or nothing."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice

from sqlalchemy import Connection, Insert, Table, delete, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from matrix.results.history import schema
from matrix.results.history.place import Database
from matrix.results.history.rows import Row, case_row, fingerprint_rows, result_rows, run_row
from matrix.results.history.store import PATIENCE, opened
from matrix.results.outcome import CaseResult
from matrix.results.record import RunRecord

BATCH = 500
"""Cases whose rows are held in memory and written together."""

MOST_NAMES = 400
"""In one query: some builds of SQLite take 999 parameters."""


class Recorded(StrEnum):
    """What became of a run that was to be recorded."""

    NEW = "recorded"
    REPLACED = "recorded again"
    """It was known unfinished, as it was before it was resumed."""
    KNOWN = "known already"


def record_run(
    database: Database, record: RunRecord, *, patience: float = PATIENCE
) -> tuple[str, Recorded]:
    """Write a run into the history; one that is known and finished is left as it is.

    Args:
        database: the history; made where it does not exist.
        record: of the run, finished or not: what has no result is left out.
        patience: seconds to wait for others that write.

    Returns:
        The run's name in the history (:func:`matrix.results.history.key.run_key`), and what
        became of it.

    Raises:
        UsageError: the run directory is broken, or the database's URL is wrong.
        HostError: the database cannot be used; nothing was written.
    """
    row = run_row(record)
    key = str(row["key"])
    with opened(database, write=True, patience=patience) as connection:
        runs = schema.runs
        known = connection.execute(
            select(runs.c.id, runs.c.finished).where(runs.c.key == key)
        ).one_or_none()
        if known is not None and known.finished:
            return key, Recorded.KNOWN
        if known is not None:
            connection.execute(delete(runs).where(runs.c.id == known.id))
        (number,) = connection.execute(insert(runs).values(**row)).inserted_primary_key or (0,)
        _write(connection, record, number, str(row["started"]))
    return key, Recorded.NEW if known is None else Recorded.REPLACED


def _write(connection: Connection, record: RunRecord, run: int, started: str) -> None:
    """Everything of a run but its own row."""
    for name, row in fingerprint_rows(record.info):
        connection.execute(insert(schema.metadata.tables[name]).values(run=run, **row))
    numbers = _case_numbers(connection, record, started)
    metrics: dict[tuple[str, str], int] = {}
    results = record.results()
    while batch := list(islice(results, BATCH)):
        rows = _rows(record, batch, run, numbers)
        rows["measurements"] = [
            {
                "metric": _metric_number(connection, metrics, str(name), str(unit)),
                **more,
            }
            for row in rows.get("measurements", ())
            for name, unit, more in [_split(row)]
        ]
        # In the order of the schema, which has parents first.
        for table in schema.metadata.sorted_tables:
            if rows.get(table.name):
                connection.execute(insert(table), rows[table.name])


def _rows(
    record: RunRecord, batch: Sequence[CaseResult], run: int, numbers: dict[str, int]
) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for result in batch:
        key = {"run": run, "case": numbers[result.case.id]}
        for table, row in result_rows(record, result):
            rows.setdefault(table, []).append({**key, **row})
    return rows


def _split(row: Row) -> tuple[object, object, Row]:
    """A measurement's name, unit, and the rest."""
    more = {key: value for key, value in row.items() if key not in ("name", "unit")}
    return row["name"], row["unit"], more


def _case_numbers(connection: Connection, record: RunRecord, started: str) -> dict[str, int]:
    """The numbers of a run's cases by id; new ones are made, and what they took is noted.

    In the order of ids, so that two runs that PostgreSQL writes at once wait for each other
    rather than both.
    """
    rows: dict[str, Row] = {}
    names: dict[str, str] = {}
    for decision in record.decisions:
        case = decision.case
        if not record.is_finished(case.id):
            continue
        attempts = record.finished_attempts(case.id)
        seconds = record.seconds(case.id) / attempts if attempts else None
        row = case_row(case, seconds, started)
        names[case.id] = str(row["case_id"])
        rows[names[case.id]] = row
    ordered = [rows[name] for name in sorted(rows)]
    found: dict[str, int] = {}
    table = schema.cases
    for batch in _batches(ordered):
        connection.execute(_upsert(connection), batch)
        wanted = [row["case_id"] for row in batch]
        query = select(table.c.case_id, table.c.id).where(table.c.case_id.in_(wanted))
        found.update((case_id, number) for case_id, number in connection.execute(query))
    return {case_id: found[name] for case_id, name in names.items()}


def _upsert(connection: Connection) -> Insert:
    """A case's row; what it took is only replaced by what a later run says."""
    table = schema.cases
    new = _insert(connection, table)
    return new.on_conflict_do_update(
        index_elements=[table.c.case_id],
        set_={"seconds": new.excluded.seconds, "seconds_at": new.excluded.seconds_at},
        where=or_(table.c.seconds_at.is_(None), new.excluded.seconds_at >= table.c.seconds_at),
    )


def _metric_number(
    connection: Connection, known: dict[tuple[str, str], int], name: str, unit: str
) -> int:
    number = known.get((name, unit))
    if number is None:
        table = schema.metrics
        new = _insert(connection, table).values(name=name, unit=unit)
        connection.execute(new.on_conflict_do_nothing())
        query = select(table.c.id).where(table.c.name == name, table.c.unit == unit)
        number = known[name, unit] = connection.execute(query).scalar_one()
    return number


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Both databases know ``ON CONFLICT``, and SQLAlchemy each for itself."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _batches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(rows), MOST_NAMES):
        yield list(rows[start : start + MOST_NAMES])
