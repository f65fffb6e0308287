"""The judging version: of everything that starts, watches and judges a guest."""

import subprocess
import sys
from pathlib import Path

import matrix
from matrix.hosts.cache import Cache
from matrix.hosts.digests import Digests
from matrix.hosts.judging import FOLDERS, judging_version

ROOT = Path(matrix.__file__).parent
LEFT_OUT = {
    "matrix.guests": "files of cases",
    "matrix.hosts.cache": "keeps answers",
    "matrix.hosts.contents": "names of files",
    "matrix.hosts.interface": "plain data",
    "matrix.migration": "cases that are migrated are never reused",
    "matrix.places": "names of folders",
    "matrix.results": "records what was judged",
}
"""What an attempt loads and what does not decide what comes of it, with the reason."""
LOADED = (
    "import sys, matrix.hosts.local.executor, matrix.verdict.deciding, matrix.vm.watch;"
    "print(*(name for name in sys.modules if name.startswith('matrix.')))"
)


def version(tmp_path: Path) -> str:
    return judging_version(Digests(Cache(tmp_path / "cache")), tmp_path / "matrix")


def test_all_that_an_attempt_loads_is_part_of_it() -> None:
    names = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    ).stdout.split()
    folders = tuple(f"matrix.{each.replace('/', '.')}" for each in FOLDERS)
    for name in names:
        parent = name.rpartition(".")[0]
        top = parent == "matrix" and (ROOT / f"{name.rpartition('.')[2]}.py").exists()
        part = top or name.startswith(folders)
        left_out = any(name == each or name.startswith(f"{each}.") for each in LEFT_OUT)
        assert part or left_out or name == "matrix.hosts", name


def test_an_edit_of_a_judge_changes_it_and_one_of_a_report_does_not(tmp_path: Path) -> None:
    root = tmp_path / "matrix"
    for name in ("__init__.py", "verdict/deciding.py", "report/page.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("# as it was\n")
    before = version(tmp_path)
    (root / "report/page.py").write_text("# another report\n")
    assert version(tmp_path) == before
    (root / "verdict/deciding.py").write_text("# another judge\n")
    assert version(tmp_path) != before != ""
