"""The axes are listed once: one that is added to the package is found everywhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matrix
from matrix.model import AXIS_NAMES
from matrix.scenario.axes import AXES, BARE_AXES, MIGRATION_AXES, axis_title

PROGRAM = Path(__file__).with_name("one_more_axis.py")
FIELD = "    colour: str | None = None\n"
ROW = '        Axis("colour", "Of the guest.", values.TEXT_SHAPE, values.parse_axis_text),\n'


def test_an_axis_that_is_added_is_found_everywhere(tmp_path: Path) -> None:
    package = tmp_path / "matrix"
    source = Path(matrix.__file__).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    _insert(package / "model.py", "    backend: MemoryBackend", FIELD)
    _insert(package / "scenario" / "axes.py", '        Axis("smp"', ROW)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_nothing_but_the_table_names_the_axes() -> None:
    """The report's scripts go over the axes that the page's index has."""
    assets = Path(matrix.__file__).parent / "report" / "assets"
    for script in assets.glob("*.js"):
        named = set(re.findall(r'"([a-z]+)"', script.read_text())) & set(AXIS_NAMES)
        assert not named & {"memory", "backend", "cpu", "smp"}, script.name


def test_what_is_said_of_axes() -> None:
    assert tuple(AXES) == AXIS_NAMES
    assert BARE_AXES == ("arch", "accel")
    assert MIGRATION_AXES == ("strategy", "transport", "fault", "destination")
    titles = {name: axis_title(name) for name in ("arch", "smp", "cpu", "scenario")}
    assert list(titles.values()) == ["architecture", "vCPUs", "cpu", "scenario"]


def _insert(path: Path, before: str, text: str) -> None:
    content = path.read_text()
    assert content.count(before) == 1
    path.write_text(content.replace(before, text + before))
