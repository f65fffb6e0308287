"""``matrix history``, and what a run that has ended leaves in it."""

import sys
from contextlib import suppress

from matrix.errors import MatrixError, UsageError
from matrix.results.history.place import Database, chosen_database
from matrix.results.record import RunRecord


def history_of_run(option: str | None, *, off: bool) -> Database | None:
    """The database that a run is recorded in; None for none.

    Args:
        option: ``--database``, None where it was not given.
        off: ``--no-history``.

    Raises:
        UsageError: both were given, or it is no database that we know.
    """
    if off and option:
        raise UsageError("--no-history and --database: only one of them")
    return None if off else chosen_database(option)


def remember(record: RunRecord, database: Database | None) -> None:
    """Record a run that has ended. What goes wrong is a warning: the run itself is unharmed."""
    if database is None or not any(record.counts().values()):
        return
    from matrix.results.history.record import record_run  # loaded while guests run

    try:
        record_run(database, record)
    except MatrixError as error:
        with suppress(OSError):  # nobody may be reading stderr any more
            print(f"warning: the run is not in the history: {error}", file=sys.stderr)
