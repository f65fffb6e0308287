"""Writes the talk's folder: the page, ``status.json``, and a CSV file for each table."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
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
    for name, rows in _tables(status):
        write_bytes(folder / f"{name}.csv", _csv(rows))
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


def _tables(status: Status) -> Iterator[tuple[str, Rows]]:
    releases = status.releases
    yield (
        "releases",
        [
            ("release", "date", "commits", "merges", "authors", "new selftests", "new unit tests"),
            *(
                (
                    r.name,
                    r.date,
                    r.commits,
                    r.merges,
                    r.authors,
                    len(r.selftests),
                    len(r.unit_tests),
                )
                for r in releases
            ),
        ],
    )
    yield (
        "parts",
        [
            ("release", "part", "commits", "commits that change it"),
            *(
                (each.name, part, each.parts.get(part, 0), touched)
                for each in releases
                for part, touched in each.touched.items()
            ),
        ],
    )
    yield (
        "release-organizations",
        [
            ("release", "organization", "commits"),
            *((each.name, *counted) for each in releases for counted in each.organizations.items()),
        ],
    )
    yield (
        "organizations",
        [
            ("organization", "commits", "authors"),
            *((each.name, each.commits, each.authors) for each in status.organizations),
        ],
    )
    yield (
        "authors",
        [
            ("author", "organizations", "commits"),
            *((each.name, "; ".join(each.organizations), each.commits) for each in status.people),
        ],
    )
    yield (
        "tests",
        [
            ("release", "suite", "part", "test"),
            *(
                (each.name, suite, *test)
                for each in releases
                for suite, tests in (("selftests", each.selftests), ("unit tests", each.unit_tests))
                for test in tests
            ),
        ],
    )
    yield (
        "exercised",
        [
            ("architecture", "feature", "how", "run", "passed", "ran"),
            *(
                (cell.architecture, cell.feature, cell.way.value, run, counts.passed, counts.ran)
                for cell, _ in status.exercised.ordered()
                for run, counts in zip(
                    status.exercised.runs, status.exercised.trend[cell], strict=True
                )
            ),
        ],
    )


def _csv(rows: Rows) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_harmless(each) for each in row] for row in rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _harmless(cell: object) -> object:
    """A name that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@") and cell else cell
