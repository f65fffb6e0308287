"""``matrix report``: a page for people, or a file for other programs; and every run's own page."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, assert_never

from matrix.cli.arguments import ReportFormat
from matrix.errors import MatrixError, UsageError
from matrix.results.files import shown, written_as_told
from matrix.results.history.place import Database, chosen_database
from matrix.results.json_text import json_bytes
from matrix.results.run_record import RunRecord, load_run

LATER = (
    "jinja2",
    "matrix.report.areas",
    "matrix.report.write",
    "matrix.report.past_runs",
    "matrix.report.ready",
)
"""What :func:`write_report` needs: loaded while guests run (see :mod:`matrix.run.runner`)."""


STDOUT = Path("-")


def run_other(paths: Sequence[Path], output: Path | None, kind: ReportFormat, origin: str) -> None:
    """Write runs for others than readers of a page.

    Raises as :func:`run_comment` and :func:`run_export`.
    """
    if kind is ReportFormat.MARKDOWN:
        run_comment(paths, output)
    else:
        run_export(paths, output, kind, origin)


def run_export(
    paths: Sequence[Path], output: Path | None, kind: ReportFormat, origin: str = ""
) -> None:
    """Write one run as JSON for another program, and print where it is.

    Args:
        paths: the run directory.
        output: the file; None for ``KIND.json`` in the run, ``-`` for standard output.
        kind: which format.
        origin: of KCIDB: the CI system's name there.

    Raises:
        UsageError: no run directory, or several.
        HostError: the run cannot be read, or the file not be written.
    """
    if len(paths) > 1:
        raise UsageError(f"--format {kind}: a file is of one run, and {len(paths)} are given")
    record = loaded(paths[0])
    data = json_bytes(_document(record, kind, origin), indent=1, nonfinite="null") + b"\n"
    if output == STDOUT:
        sys.stdout.buffer.write(data)
        return
    path = output or record.given / f"{kind}.json"
    with written_as_told(path) as file:
        file.write(data)
    print(path)


def _document(record: RunRecord, kind: ReportFormat, origin: str) -> dict[str, Any]:
    match kind:
        case ReportFormat.CTRF:
            from matrix.results.ctrf import ctrf_document

            return ctrf_document(record)
        case ReportFormat.KCIDB:
            from matrix.results.kcidb import ORIGIN, kcidb_document

            return kcidb_document(record, origin or ORIGIN)
        case ReportFormat.TRACE:
            from matrix.results.trace import trace_document

            return trace_document(record)
        case ReportFormat.OTLP:
            from matrix.results.spans import spans_document

            return spans_document(record)
        case ReportFormat.MARKDOWN:
            raise ValueError("a comment is no document")
        case ReportFormat.HTML:
            raise ValueError("a page is no document")
        case _:
            assert_never(kind)


def run_comment(paths: Sequence[Path], output: Path | None) -> None:
    """Write runs as one Markdown comment, to standard output unless a file is named.

    Raises:
        HostError: a run cannot be read, or the file not be written.
    """
    from matrix.report.comment import comment

    text = comment([loaded(path) for path in paths])
    if output in (None, STDOUT):
        sys.stdout.write(text)
        return
    with written_as_told(output) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
    print(output)


def run_report(
    paths: Sequence[Path], output: Path | None, *, history: int = 0, database: str | None = None
) -> None:
    """Write a page about runs and print where it is.

    Args:
        paths: run directories; several are put together in one page, oldest first.
        output: the folder to write to; None for the run's own, where there is one run.
        history: of how many past runs the page tells too.
        database: where they are; None for the usual place.

    Raises:
        UsageError: no run directory, several without ``output``, or ``output`` has another page.
        HostError: a run cannot be read, or the page not be written.
    """
    from matrix.report.write import write_report, write_run_report

    if output is None and (history or database):
        raise UsageError("--history is for a report in a folder of its own: name it with -o DIR")
    if database and not history:
        raise UsageError("--database is for --history N, which says of how many runs")
    if output is None and len(paths) > 1:
        raise UsageError(f"{len(paths)} runs in one report: name a folder for it with -o DIR")
    twice = [path for path, count in Counter(each.resolve() for each in paths).items() if count > 1]
    if twice:
        raise UsageError(f"{shown(twice[0])} is given twice, and its cases would be counted twice")
    records = sorted(map(loaded, paths), key=lambda record: record.info.started)
    if output is None:
        print(write_run_report(records[0]))
        return
    past = chosen_database(database) if history else None
    print(write_report(records, output, past, history))


def loaded(path: Path) -> RunRecord:
    """A run; what is wrong with its journal goes to stderr. Raises as ``load_run``."""
    record = load_run(path)
    for problem in record.problems:
        print(f"warning: {problem}", file=sys.stderr)
    return record


def write_report(record: RunRecord, history: Database | None) -> None:
    """Write ``RUN/report.html``, with what is new since the runs that the history has. That it
    cannot be written is said, and changes nothing else."""
    from matrix.report.write import write_run_report

    try:
        write_run_report(record, history)
    except MatrixError as error:
        print(f"warning: there is no report.html: {error}", file=sys.stderr)
