"""Writes the talk's folder: the page, ``status.json``, and a CSV file for each table."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from matrix.errors import UsageError
from matrix.report.page import is_page
from matrix.report.write import FOLDER_PAGE
from matrix.results.files import host_errors, shown, write_bytes
from matrix.results.json_text import json_bytes
from matrix.status.kvm_status import Status
from matrix.status.status_page import page_of

Rows = Iterable[Sequence[object]]


def write_status(status: Status, folder: Path) -> Path:
    """Write everything, the page last, and give its path.

    Raises:
        HostError: a file cannot be written.
    """
    with host_errors("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    document = json_bytes(status.document(), indent=1) + b"\n"
    write_bytes(folder / "status.json", document)
    for name, rows in TABLES.items():
        write_bytes(folder / f"{name}.csv", _csv(rows(status)))
    path = folder / FOLDER_PAGE
    write_bytes(path, page_of(status).encode("utf-8", "backslashreplace"))
    return path


def check_folder(folder: Path) -> None:
    """See that no page of somebody else's is there.

    Raises:
        UsageError: there is one.
    """
    path = folder / FOLDER_PAGE
    if path.exists() and not is_page(path):
        raise UsageError(
            f"{shown(path)} exists and is not a report: name another folder with -o, or remove it"
        )


def _releases(status: Status) -> Rows:
    yield ("release", "date", "commits", "merges", "authors", "new selftests", "new unit tests")
    for each in status.releases:
        added = len(each.selftests), len(each.unit_tests)
        yield (each.name, each.date, each.commits, each.merges, each.authors, *added)


def _parts(status: Status) -> Rows:
    yield ("release", "part", "commits", "commits that change it")
    for each in status.releases:
        for part, touched in each.touched.items():
            yield (each.name, part, each.parts.get(part, 0), touched)


def _release_organizations(status: Status) -> Rows:
    yield ("release", "organization", "commits")
    for each in status.releases:
        for counted in each.organizations.items():
            yield (each.name, *counted)


def _organizations(status: Status) -> Rows:
    yield ("organization", "commits", "authors")
    for each in status.organizations:
        yield (each.name, each.commits, each.authors)


def _authors(status: Status) -> Rows:
    yield ("author", "organizations", "commits")
    for each in status.people:
        yield (each.name, "; ".join(each.organizations), each.commits)


def _tests(status: Status) -> Rows:
    yield ("release", "suite", "part", "test")
    for each in status.releases:
        for suite, tests in (("selftests", each.selftests), ("unit tests", each.unit_tests)):
            for test in tests:
                yield (each.name, suite, *test)


def _exercised(status: Status) -> Rows:
    yield ("architecture", "feature", "how", "run", "passed", "ran")
    exercised = status.exercised
    for cell, _ in exercised.ordered():
        for run, counts in zip(exercised.runs, exercised.trend[cell], strict=True):
            way = cell.way.value
            yield (cell.architecture, cell.feature, way, run, counts.passed, counts.ran)


TABLES = {
    "releases": _releases,
    "parts": _parts,
    "release-organizations": _release_organizations,
    "organizations": _organizations,
    "authors": _authors,
    "tests": _tests,
    "exercised": _exercised,
}
"""Of each file what its rows are, the head first."""


def _csv(rows: Rows) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_harmless(each) for each in row] for row in rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _harmless(cell: object) -> object:
    """A name that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@") and cell else cell
