"""How long cases took last, from the history, so that the longest can start first.

Read before every run, so without SQLAlchemy where the history is a file: the standard library opens
it and answers in milliseconds. It is a hint: whatever is wrong, no case is known.
"""

import contextlib
import math
import sqlite3
from collections.abc import Collection
from urllib.parse import quote

from matrix.errors import MatrixError
from matrix.results.history.place import Database

PATIENCE = 0.5
"""Seconds to wait for another run that is writing."""

_QUERY = "SELECT case_id, seconds FROM cases WHERE seconds IS NOT NULL AND scenario IN ({marks})"


def known_durations(database: Database | None, scenarios: Collection[str]) -> dict[str, float]:
    """Seconds that an attempt of each case took in the latest run that had it.

    Args:
        database: the history; None for none.
        scenarios: names of the scenarios whose cases are asked for.
    """
    if database is None or not scenarios:
        return {}
    names = sorted(set(scenarios))
    if database.path is not None:
        rows = _from_file(database, names)
    else:
        rows = _from_server(database, names)
    return {case: seconds for case, seconds in rows if _plausible(seconds)}


def _from_file(database: Database, scenarios: list[str]) -> list[tuple[str, float]]:
    uri = f"file:{quote(str(database.path))}?mode=ro"
    query = _QUERY.format(marks=", ".join("?" * len(scenarios)))
    try:
        with contextlib.closing(sqlite3.connect(uri, timeout=PATIENCE, uri=True)) as connection:
            return connection.execute(query, scenarios).fetchall()
    except sqlite3.Error:
        return []


def _from_server(database: Database, scenarios: list[str]) -> list[tuple[str, float]]:
    from sqlalchemy import select

    from matrix.results.history import schema
    from matrix.results.history.store import opened

    table = schema.cases
    query = select(table.c.case_id, table.c.seconds).where(
        table.c.seconds.is_not(None), table.c.scenario.in_(scenarios)
    )
    try:
        with opened(database) as connection:
            return [(case, seconds) for case, seconds in connection.execute(query)]
    except MatrixError:
        return []


def _plausible(seconds: object) -> bool:
    return isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0
