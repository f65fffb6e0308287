"""Where reports go."""

import os
from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.report.write import write_report, write_run_report
from matrix.results.run_record import RunRecord
from tests import make
from tests.report.conftest import RunMaker


@pytest.fixture
def record(recorded: RunMaker) -> RunRecord:
    return recorded([(make.run(make.case()), make.attempt(), {})])


def test_a_run_gets_its_page_and_gets_it_anew(record: RunRecord) -> None:
    path = write_run_report(record)
    assert path == record.run.path / "report.html"
    assert write_run_report(record).read_bytes() == path.read_bytes()


def test_a_folder_is_made(record: RunRecord, tmp_path: Path) -> None:
    path = write_report([record], tmp_path / "a/b")
    assert path == tmp_path / "a/b/index.html"
    assert write_report([record], tmp_path / "a/b") == path


def test_a_page_of_others_is_left_alone(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="is not a report: name another folder"):
        write_report([record], tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"
    theirs = record.run.path / "report.html"
    theirs.unlink(missing_ok=True)
    os.mkfifo(theirs)  # in a run of a stranger, where reading it would hang
    with pytest.raises(UsageError, match="is not a report"):
        write_run_report(record)


def test_a_small_run_has_a_small_page(record: RunRecord) -> None:
    assert write_run_report(record).stat().st_size < 150_000
