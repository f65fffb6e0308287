"""What cases took last time, for the order in which they start, and the history that says so."""

from collections.abc import Iterable, Iterator
from importlib import import_module

from matrix.model import Case
from matrix.results.history.durations import known_durations
from matrix.results.history.place import Database

_WRITER = "matrix.results.history.record"


def known_seconds(cases: Iterable[Case], database: Database | None) -> dict[str, float]:
    """Seconds that an attempt of each case took in the latest recorded run that had it, by id.

    Args:
        cases: of which scenarios' cases it is asked.
        database: the history; None where there is none, and nothing is known.
    """
    return known_durations(database, {case.scenario for case in cases})


def load_writer(database: Database | None) -> Iterator[object]:
    """One short step: load what writes the history, which takes some milliseconds.

    SQLAlchemy, which takes longer, is needed by a server alone, and is there already since that was
    asked what cases took.
    """
    if database is not None:
        yield import_module(_WRITER)
