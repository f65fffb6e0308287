"""``matrix history``, and what a run that has ended leaves in it."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from matrix.cli.standard_output import standard_output, write_json
from matrix.errors import ExitCode, MatrixError, NothingSelected, UsageError
from matrix.results.history.place import DATABASE_VARIABLE, Database, chosen_database
from matrix.results.printable import printable
from matrix.results.run_record import RunRecord, load_run


@dataclass(frozen=True, slots=True)
class Asked:
    """What ``matrix history`` was asked for, as typed."""

    arguments: tuple[str, ...] = ()
    """A case, or with ``load`` run directories."""
    load: bool = False
    last: int = 20
    host: str = ""
    database: str | None = None
    json: bool = False


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


def save_to_history(record: RunRecord, database: Database | None) -> None:
    """Record a run that has ended. What goes wrong is a warning: the run itself is unharmed."""
    results = sum(record.counts().values())
    reused = sum(record.is_reused(each.case.id) for each in record.decisions)
    if database is None or results == reused:  # nothing new
        return
    from matrix.results.history.writer import record_run  # loaded while guests run

    try:
        record_run(database, record)
    except MatrixError as error:
        with suppress(OSError):  # nobody may be reading stderr any more
            print(f"warning: the run is not in the history: {error}", file=sys.stderr)


def run_history(asked: Asked) -> ExitCode:
    """Show the past of runs and cases, or take runs in; gives the command's exit code.

    Raises:
        UsageError: a wrong combination of options, no such database, or nothing in it yet.
        NothingSelected: the history has no such case.
        HostError: the database cannot be used.
    """
    database = chosen_database(asked.database)
    if database is None:
        raise UsageError(
            f"there is no history: {DATABASE_VARIABLE} is set and empty; name one with --database"
        )
    if asked.load:
        return _load(asked, database)
    if len(asked.arguments) > 1:
        raise UsageError(
            f"{len(asked.arguments)} cases: name one, or a pattern in quotes, as in 'kut.timer*'; "
            "--import takes run directories"
        )
    _show(asked, database, "".join(asked.arguments))
    return ExitCode.OK


def _show(asked: Asked, database: Database, pattern: str) -> None:
    from matrix.results.history.database import opened
    from matrix.results.history.history_json import write_document
    from matrix.results.history.history_text import case_lines, cases_lines, history_lines
    from matrix.results.history.query import read_eventful, read_history

    with opened(database) as session:
        if pattern or asked.json:
            history = read_history(session, pattern, last=asked.last, host=asked.host)
        else:
            history = read_eventful(session, last=asked.last, host=asked.host)
    if not history.runs or (pattern and not history.cases):
        on = f" on host {printable(asked.host)!r}" if asked.host else ""
        what = f"no case {printable(pattern)!r}" if pattern else "no run"
        raise NothingSelected(f"history database {database}: {what} is recorded{on}")
    if asked.json:
        write_document(write_json, history, str(database))
        sys.stdout.flush()
        return
    output = standard_output()
    if not pattern:
        output.say(history_lines(history, output.width, asked.last))
    elif len(history.cases) == 1:
        output.say(case_lines(history.cases[0], output.width, asked.last))
    else:
        output.say(cases_lines(history.cases, output.width, asked.last))


def _load(asked: Asked, database: Database) -> ExitCode:
    """Record run directories; those that cannot be are named, and the others are recorded."""
    from matrix.results.history.writer import record_run

    if not asked.arguments:
        raise UsageError("--import: name the run directories, as in --import runs/*")
    failed: list[MatrixError] = []
    for path in map(Path, asked.arguments):
        try:
            record = load_run(path)
            key, what = record_run(database, record)
        except UsageError as error:
            failed.append(error)
            print(f"matrix: {error}", file=sys.stderr)
            continue
        print(f"{key}  {what.value}  {printable(str(path))}")
    sys.stdout.flush()
    return failed[0].exit_code if failed else ExitCode.OK
