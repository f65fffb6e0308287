"""What cases took last time, for the order in which they start, and the history that says so."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from threading import Thread

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


def load_writer(database: Database | None) -> Iterator[None]:
    """One short step: begin to load what writes the history.

    That takes some 0.2 s of work, too much for one go between two events of QEMU. In a thread it
    gives way every few milliseconds, and what is loaded when the run ends need not be waited for.
    """
    if database is not None:
        Thread(target=import_module, args=(_WRITER,), name="history", daemon=True).start()
        yield
