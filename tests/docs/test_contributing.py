"""What CONTRIBUTING says of the code is so: where things are, and where one adds more of them.

Suites, hosts and axes are added by tests/cli/test_suites.py, tests/cli/test_hosts.py and
tests/scenario/test_axes.py; that every strategy, fault and architecture has its rows is checked
where the tables are tested.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import matrix
from matrix.results.recorder import Recorder
from tests import make

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PACKAGE = Path(matrix.__file__).parent
FORMAT = '''\
"""The ids of a run's cases."""

from typing import Any

from matrix.results.run_record import RunRecord


def ids_document(record: RunRecord) -> dict[str, Any]:
    return {"ids": [decision.case.id for decision in record.decisions]}
'''
CASE = """\
        case ReportFormat.IDS:
            from matrix.results.ids import ids_document

            return ids_document(record)
"""


def test_every_package_is_listed() -> None:
    packages = {f"matrix/{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}
    assert packages - set(re.findall(r"^\| `(matrix/\w+)` \|", TEXT, re.MULTILINE)) == set()


def test_every_path_is_there() -> None:
    paths = re.findall(r"`((?:\w[\w.-]*/|\.ci/)[\w./-]*)`", TEXT)
    assert len(paths) > 30
    assert [path for path in paths if "build/" not in path and not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("name", "path"),
    re.findall(r"`([A-Z]\w+)`[^`]*?(?:\(| in\n?\s+|\n\s+)`(matrix/[\w/]+\.py)`", TEXT),
)
def test_every_name_is_where_it_is_said_to_be(name: str, path: str) -> None:
    assert re.search(rf"^(class )?{name}\b", (ROOT / path).read_text(), re.MULTILINE)


def test_an_output_format_that_is_added_is_written(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Recorder.start(run, make.info(), [make.run()]) as recorder:
        recorder.begin(make.case(), 1)
        recorder.finish(make.case(), make.attempt())
        recorder.end()
    shutil.copytree(PACKAGE, tmp_path / "matrix", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "matrix/results/ids.py").write_text(FORMAT)
    _insert(tmp_path / "matrix/cli/arguments.py", '    TRACE = "trace"\n', '    IDS = "ids"\n')
    _insert(tmp_path / "matrix/cli/report_command.py", "        case ReportFormat.HTML:", CASE)
    done = subprocess.run(
        [sys.executable, "-m", "matrix", "report", str(run), "--format", "ids", "-o", "-"],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert make.case().id in done.stdout


def _insert(path: Path, before: str, text: str) -> None:
    content = path.read_text()
    assert content.count(before) == 1
    path.write_text(content.replace(before, text + before))
