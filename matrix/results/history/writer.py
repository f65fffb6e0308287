"""Writes a run into the history: one transaction, all of it or nothing."""

import math
from enum import StrEnum
from itertools import islice

from matrix.results.case_record import CaseRecord, document
from matrix.results.history.connection import Row, insertion
from matrix.results.history.database import PATIENCE, opened
from matrix.results.history.key import run_key, sortable, started
from matrix.results.history.place import Database
from matrix.results.history.records import json_text, storable, stored
from matrix.results.history.rows import environment_row, info_text, insert_results
from matrix.results.run_info import RunInfo
from matrix.results.run_record import RunRecord

BATCH = 500
"""Cases whose rows are held in memory and written together."""

_CASE_IS_KNOWN = """
ON CONFLICT (case_id) DO UPDATE SET seconds = excluded.seconds, seconds_at = excluded.seconds_at
WHERE cases.seconds_at IS NULL OR excluded.seconds_at >= cases.seconds_at
"""
"""What a case took is only replaced by what a later run says."""

_TOOK_NOTHING: Row = {"seconds": None, "seconds_at": None}


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
        record: of the run, finished or not: what has no result is left out, and what was reused,
            which says nothing new and is there of the run that ran it.
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
    with opened(database, write=True, patience=patience) as session:
        known = session.read("SELECT id, finished FROM runs WHERE key = :key", key)
        for number, finished in known:
            if finished:
                return str(row["key"]), Recorded.KNOWN
            session.write("DELETE FROM runs WHERE id = :id", [{"id": number}])
        session.write(insertion("runs", row), [row])
        ((number,),) = session.read("SELECT id FROM runs WHERE key = :key", key)
        fresh = (case for case in record.results() if case.reused is None)
        rows = (_rows(record.info, case, number, str(row["started"])) for case in fresh)
        while batch := list(islice(rows, BATCH)):
            cases = [case for case, *_ in batch]
            session.write(insertion("cases", cases[0]) + _CASE_IS_KNOWN, cases)
            insert_results(session, [each[1:] for each in batch])
    return str(row["key"]), Recorded.REPLACED if known else Recorded.NEW


def run_row(record: RunRecord) -> Row:
    """The row of ``runs``, without its ``id``.

    Raises:
        UsageError: ``run.json`` is broken.
        HostError: it cannot be read.
    """
    return {
        "key": run_key(record),
        "started": sortable(started(record)),
        "finished": not record.unfinished(),
        "hostname": storable(record.info.hostname),
        "exit_code": int(record.exit_code()),
        "elapsed": record.elapsed if math.isfinite(record.elapsed) else 0.0,
        "directory": storable(str(record.run.path)),
        "counts": json_text({verdict: n for verdict, n in record.counts().items() if n}),
        "info": info_text(record.info),
    }


def _rows(info: RunInfo, case: CaseRecord, run: int, at: str) -> tuple[Row, Row, Row]:
    """Of the case, of its environment, and of its result."""
    row, planned, result = stored(document(case))
    environment = environment_row(
        planned,
        info.host_of(case.host).host,
        qemu_version=info.qemu_version(case.axes.qemu, case.axes.arch, case.host),
        accelerator=case.accelerator,
        suite_revision=case.suite_revision,
    )
    made = len(case.attempts)
    took: Row = {"seconds": case.seconds / made, "seconds_at": at} if made else _TOOK_NOTHING
    return {**row, **took}, environment, {**result, "run": run}
