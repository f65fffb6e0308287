"""Writes the report of one run or of several: what the commands call."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from matrix.errors import MatrixError, UsageError
from matrix.report.gather import Gathered, gather
from matrix.report.page import is_page, write_page
from matrix.results.files import host_errors, shown
from matrix.results.history.database import opened
from matrix.results.history.place import Database
from matrix.results.run_record import RunRecord

RUN_PAGE = "report.html"
"""The page of one run, in its folder."""

FOLDER_PAGE = "index.html"
"""The page in a folder that the user names."""


RECENT = 20
"""Runs of the history in which the page of a run looks for what is new."""


def write_run_report(record: RunRecord, history: Database | None = None) -> Path:
    """Write ``RUN/report.html`` from what is finished so far, and give its path.

    Args:
        record: the run.
        history: a database; the page says what is new since the runs in it, where it can be read.

    Raises:
        UsageError: there is a file of that name that is none of ours, which is left alone.
        HostError: it cannot be written, or the journal cannot be read.
    """
    path = record.run.path / RUN_PAGE
    _check_ours(path)
    gathered = gather([record], path)
    if history is not None:
        with suppress(MatrixError):  # whoever recorded the run there has said what is wrong
            _add_news(gathered, [record], history)
    write_page(gathered, path)
    return path


def write_report(
    records: Sequence[RunRecord], folder: Path, history: Database | None = None, last: int = 0
) -> Path:
    """Write ``FOLDER/index.html`` about several runs, and give its path.

    Args:
        records: the runs.
        folder: where to; made where it does not exist.
        history: a database whose ``last`` runs the page tells of too.
        last: how many.

    Raises:
        UsageError: the folder has an ``index.html`` that is none of ours, which is left alone; or
            there is no such history, or nothing says when a run was started.
        HostError: it cannot be written, or a journal or the history cannot be read.
    """
    path = folder / FOLDER_PAGE
    _check_ours(path)
    with host_errors("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    gathered = gather(records, path.absolute())
    if history is not None:
        _add_past(gathered, records, history, last)
    write_page(gathered, path)
    return path


def _check_ours(path: Path) -> None:
    if path.exists() and not is_page(path):
        raise UsageError(
            f"{shown(path)} exists and is not a report: name another folder with -o, or remove it"
        )


def _add_past(
    gathered: Gathered, records: Sequence[RunRecord], history: Database, last: int
) -> None:
    from matrix.report.past_runs import past_document

    ids = [row.case_id for row in gathered.rows]
    measured = (ids[position] for position in gathered.details.measured)
    with opened(history) as session:
        gathered.past = past_document(session, ids, measured, last)
    _add_news(gathered, records, history, last)


def _add_news(
    gathered: Gathered, records: Sequence[RunRecord], history: Database, last: int = RECENT
) -> None:
    from matrix.report.past_runs import read_news
    from matrix.results.history.key import sortable, started

    begun = sortable(min(map(started, records)))
    with opened(history) as session:
        gathered.news = read_news(session, gathered.rows, begun, last)
