"""Writes a run into the history: one transaction, all of it or nothing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice

from matrix.results.case_record import CaseRecord
from matrix.results.history.place import Database
from matrix.results.history.rows import case_row, fingerprint_rows, result_rows, run_row
from matrix.results.history.session import Row, Session, insertion
from matrix.results.history.sqlite_file import PATIENCE, written_file
from matrix.results.record import RunRecord

BATCH = 500
"""Cases whose rows are held in memory and written together."""

MOST_NAMES = 400
"""In one query: some builds of SQLite take 999 parameters."""

_CASE_IS_KNOWN = """
ON CONFLICT (case_id) DO UPDATE SET seconds = excluded.seconds, seconds_at = excluded.seconds_at
WHERE cases.seconds_at IS NULL OR excluded.seconds_at >= cases.seconds_at
"""
"""What a case took is only replaced by what a later run says."""


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
    key = {"key": row["key"]}
    with _written(database, patience) as session:
        known = session.read("SELECT id, finished FROM runs WHERE key = :key", key)
        for number, finished in known:
            if finished:
                return str(row["key"]), Recorded.KNOWN
            session.write("DELETE FROM runs WHERE id = :id", [{"id": number}])
        session.write(insertion("runs", row), [row])
        ((number,),) = session.read("SELECT id FROM runs WHERE key = :key", key)
        _write(session, record, number, str(row["started"]))
    return str(row["key"]), Recorded.REPLACED if known else Recorded.NEW


@contextmanager
def _written(database: Database, patience: float) -> Iterator[Session]:
    """A transaction that writes. Only a server needs SQLAlchemy, which takes 0.2 s to load."""
    if database.path is not None:
        with written_file(database.path, patience) as session:
            yield session
        return
    from matrix.results.history.store import ConnectionSession, opened

    with opened(database, write=True, patience=patience) as connection:
        yield ConnectionSession(connection)


def _write(session: Session, record: RunRecord, run: int, started: str) -> None:
    """Everything of a run but its own row."""
    for table, row in fingerprint_rows(record.info):
        session.write(insertion(table, ("run", *row)), [{"run": run, **row}])
    numbers = _case_numbers(session, record, started)
    metrics: dict[tuple[object, object], int] = {}
    results = record.results()
    while batch := list(islice(results, BATCH)):
        # Parents come first, as in each case.
        for table, rows in _rows(record, batch, run, numbers).items():
            if table == "measurements":
                for row in rows:
                    row["metric"] = _metric_number(
                        session, metrics, row.pop("name"), row.pop("unit")
                    )
            session.write(insertion(table, rows[0]), rows)


def _rows(
    record: RunRecord, batch: Sequence[CaseRecord], run: int, numbers: dict[str, int]
) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for result in batch:
        key = {"run": run, "case": numbers[result.id]}
        for table, row in result_rows(record, result):
            rows.setdefault(table, []).append({**key, **row})
    return rows


def _case_numbers(session: Session, record: RunRecord, started: str) -> dict[str, int]:
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
    for batch in _batches(ordered):
        session.write(insertion("cases", batch[0]) + _CASE_IS_KNOWN, batch)
        wanted: Row = {f"case{index}": row["case_id"] for index, row in enumerate(batch)}
        marks = ", ".join(f":{name}" for name in wanted)
        query = f"SELECT case_id, id FROM cases WHERE case_id IN ({marks})"  # noqa: S608 - marks are ours
        found.update(session.read(query, wanted))
    return {case_id: found[name] for case_id, name in names.items()}


def _metric_number(
    session: Session, known: dict[tuple[object, object], int], name: object, unit: object
) -> int:
    number = known.get((name, unit))
    if number is None:
        row: Row = {"name": name, "unit": unit}
        session.write(insertion("metrics", row) + " ON CONFLICT DO NOTHING", [row])
        query = "SELECT id FROM metrics WHERE name = :name AND unit = :unit"
        ((number,),) = session.read(query, row)
        known[name, unit] = number
    return number


def _batches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(rows), MOST_NAMES):
        yield list(rows[start : start + MOST_NAMES])
