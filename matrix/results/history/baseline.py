"""A recorded run as a side of a comparison: ``history:RUN``, ``history:latest[:SCENARIO]``."""

from collections.abc import Collection

from pydantic import TypeAdapter

from matrix.errors import HostError, UsageError
from matrix.results.compare.sides import StoredRun
from matrix.results.history.connection import Session, listed
from matrix.results.history.key import PREFIX
from matrix.results.history.records import recorded_cases
from matrix.results.json_text import json_bytes
from matrix.results.printable import printable
from matrix.results.run_info import RunInfo

LATEST = "latest"

MOST_NAMES = 3
"""Runs that a message names."""

_Row = tuple[int, str, str]
"""A run's number, name and ``run.json``."""

_RUN = "SELECT id, key, info FROM runs WHERE"


def recorded_run(
    session: Session,
    name: str,
    *,
    scenarios: Collection[str] = (),
    other_than: str = "",
) -> StoredRun:
    """The recorded run that is meant.

    Args:
        session: of the history.
        name: ``history:`` and a run's name or the begin of it, or ``latest``, or ``latest:`` and
            the name of a scenario.
        scenarios: for ``latest`` without one, the run must have one of these; empty for any.
        other_than: name of a run that ``latest`` does not mean: the one it is compared with.

    Raises:
        UsageError: there is no such run, or several.
        HostError: what is recorded of it is not what this program writes.
    """
    wanted = name.removeprefix(PREFIX)
    latest, _, scenario = wanted.partition(":")
    if latest == LATEST:
        row = _latest(session, [scenario] if scenario else sorted(scenarios), other_than)
    else:
        row = _named(session, wanted)
    number, key, info = row
    try:
        return StoredRun(
            f"{PREFIX}{key}",
            TypeAdapter(RunInfo).validate_json(info),
            map(json_bytes, recorded_cases(session, number)),
        )
    except ValueError as error:
        raise HostError(
            f"what the history has of run {printable(key)} is not what this program writes: "
            f"{printable(str(error).partition(chr(10))[0])}"
        ) from error


def _latest(session: Session, scenarios: list[str], other_than: str) -> _Row:
    """The latest run that finished."""
    names, values = listed(scenarios)
    having = f"""AND EXISTS (
        SELECT 1 FROM results JOIN cases ON cases.id = results."case"
        WHERE run = runs.id AND scenario IN ({names})
    )"""  # noqa: S608 - names of parameters
    query = f"{_RUN} finished AND key <> :other {having if scenarios else ''}"
    rows = session.read(
        f"{query} ORDER BY started DESC, id DESC LIMIT 1", {**values, "other": other_than}
    )
    if not rows:
        of = f" of scenario {', '.join(map(printable, scenarios))}" if scenarios else ""
        other = " but the one to compare it with" if other_than else ""
        raise UsageError(f"{PREFIX}{LATEST}: no finished run{of} is recorded{other}")
    return rows[0]


def _named(session: Session, name: str) -> _Row:
    if not name:
        raise UsageError(f"{PREFIX} which run? Write {PREFIX}{LATEST}, or a run of matrix history")
    begin = f"{_RUN} substr(key, 1, :length) = :name ORDER BY key"
    rows = session.read(begin, {"length": len(name), "name": name})
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise UsageError(
            f"{PREFIX}{printable(name)}: no such run is recorded; matrix history lists them"
        )
    names = ", ".join(row[1] for row in rows[:MOST_NAMES])
    more = ", …" if len(rows) > MOST_NAMES else ""
    raise UsageError(f"{PREFIX}{printable(name)}: {len(rows)} runs begin so: {names}{more}")
