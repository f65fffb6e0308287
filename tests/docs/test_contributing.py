"""What CONTRIBUTING says of the code is so: where things are, and where one adds more of them.

Suites, hosts and axes are added by tests/cli/test_suites.py, tests/cli/test_hosts.py and
tests/scenario/test_axes.py; that every architecture has its rows is checked where the tables are
tested.
"""

import json
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

SCENARIO = """\
name: added
suite: {kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}
matrix:
  arch: [x86_64]
  accel: [tcg]
  strategy: [released]
  fault: [looking-on]
migration: {mode: once, transport: unix}
"""
STRATEGY_AND_FAULT = (
    (
        "migrating.py",
        '    PRECOPY = "precopy"\n',
        '    RELEASED = "released"\n',
    ),
    ("migrating.py", '    NO_LISTENER = "no-listener"\n', '    LOOKING_ON = "looking-on"\n'),
    (
        "plan/strategy_settings.py",
        "    Strategy.PRECOPY: Recipe(),\n",
        '    Strategy.RELEASED: Recipe(("release-ram",)),\n',
    ),
    (
        "scenario/compatibility.py",
        "    Fault.NO_LISTENER: ",
        "    Fault.LOOKING_ON: _Setting(frozenset({Strategy.RELEASED})),\n",
    ),
    (
        "migration/faults/table.py",
        "    Fault.NO_LISTENER: ",
        "    Fault.LOOKING_ON: Rule(COMPLETED),\n",
    ),
    (
        "migration/faults/injectors.py",
        "    Fault.NO_LISTENER: ",
        "    Fault.LOOKING_ON: looking.LooksOn,\n",
    ),
    (
        "migration/faults/injectors.py",
        "from matrix.migration.faults.base import",
        "from matrix.migration.faults import looking\n",
    ),
)
INJECTOR = """\
from matrix.migration.faults.base import FaultInjector
from matrix.migration.live_hop import LiveHop


class LooksOn(FaultInjector):
    async def act(self, hop: LiveHop) -> None:
        self.deed(hop, "looked on")
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
    package = _copied(tmp_path)
    (package / "results/ids.py").write_text(FORMAT)
    _insert(package / "cli/arguments.py", '    TRACE = "trace"\n', '    IDS = "ids"\n')
    _insert(package / "cli/report_command.py", "        case ReportFormat.HTML:", CASE)
    told = _matrix(tmp_path, "report", str(run), "--format", "ids", "-o", "-")
    assert make.case().id in told


@pytest.mark.qemu
def test_a_strategy_and_a_fault_that_are_added_make_a_hop(tmp_path: Path) -> None:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    package = _copied(tmp_path)
    for name, before, text in STRATEGY_AND_FAULT:
        _insert(package / name, before, text)
    (package / "migration/faults/looking.py").write_text(INJECTOR)
    (tmp_path / "added.yaml").write_text(SCENARIO)
    _matrix(tmp_path, "run", "added.yaml", "-o", "run", "--no-history")
    (path,) = (tmp_path / "run").rglob("hops.jsonl")
    hop = json.loads(path.read_text().splitlines()[0])
    assert (hop["strategy"], hop["fault"], hop["outcome"]) == (
        "released",
        "looking-on",
        "completed",
    )
    assert "looked on" in [event["what"] for event in hop["events"]]


def _copied(folder: Path) -> Path:
    """A copy of the program to be changed."""
    ignored = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(PACKAGE, folder / "matrix", ignore=ignored)


def _matrix(folder: Path, *words: str) -> str:
    """What the copy prints."""
    done = subprocess.run(
        [sys.executable, "-m", "matrix", *words],
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _insert(path: Path, before: str, text: str) -> None:
    content = path.read_text()
    assert content.count(before) == 1
    path.write_text(content.replace(before, text + before))
