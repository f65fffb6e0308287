"""Wheel and sdist: built, complete, and running where nothing else is."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from matrix.model import Architecture
from tests.installed import lend_answers

ROOT = Path(__file__).parents[2]
IGNORED = shutil.ignore_patterns(
    ".*cache",
    ".git",
    ".hypothesis",
    ".venv",
    "__pycache__",
    "build",
    "dist",
    "runs",
    "*.egg-info",
    "node_modules",
)
SECONDS = 600

pytestmark = pytest.mark.slow(
    reason="builds the package, installs it with all it needs, boots a guest of each architecture"
)


def run(command: Sequence[str | Path], cwd: Path) -> str:
    """Run a command as a user of the machine would who has nothing of ours; gives its output."""
    kept = ("PATH", "LANG", "TMPDIR", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(cwd), "COLUMNS": "100"}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        if name in os.environ:
            environment[name] = os.environ[name]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    pytest.importorskip("build")  # a tool of development: make test has it
    place = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, place / "source", ignore=IGNORED)
    installed = place / "source/.ci/javascript/node_modules"
    installed.mkdir()
    (installed / "index.js").touch()
    run([sys.executable, "-m", "build", "-o", place, place / "source"], place)
    return place


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def test_the_wheel_has_what_it_needs_and_no_sources_of_guests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for architecture in Architecture:
        images = f"matrix/guests/images/{architecture.value}/"
        assert any(name.startswith(images) for name in names), f"no guests for {architecture}"
    for ending in (
        "matrix/py.typed",
        "data/share/man/man1/matrix.1",
        "data/share/bash-completion/completions/matrix",
        "data/share/zsh/site-functions/_matrix",
        "data/share/fish/vendor_completions.d/matrix.fish",
        "data/share/qemu-matrix/scenarios/smoke.yaml",
    ):
        assert any(name.endswith(ending) for name in names), f"no {ending}"
    for folder in ("matrix/guests/images", "matrix/report/assets", "matrix/status/assets"):
        here = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
        for path in here:
            if "__pycache__" not in path.parts:
                assert path.relative_to(ROOT).as_posix() in names
    assert not [name for name in names if name.endswith((".c", ".S", ".lds", ".mk"))]
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "build"))]


def test_the_wheel_names_the_command_and_the_plugin(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        text = archive.read(name).decode()
    assert "matrix = matrix.__main__:main" in text
    assert "[pytest11]\nmatrix = matrix.pytest_plugin.plugin" in text


def test_the_sdist_has_what_tests_and_guests_are_built_from(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in (
        "matrix/guests/Makefile",
        "scenarios/smoke.yaml",
        "tests/fake_qemu.py",
        ".ci/javascript/package-lock.json",
        "LICENSE",
    ):
        assert needed in names
    assert not [name for name in names if "node_modules" in name]


@pytest.mark.qemu
def test_it_runs_the_smoke_scenario_from_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    # Our own pip does it: to install another costs as much as all the rest. What is imported is
    # compiled then; all of the dependencies are several times as much.
    run([sys.executable, "-m", "venv", "--without-pip", "empty"], tmp_path)
    pip = [sys.executable, "-m", "pip", "--python", "empty/bin/python"]
    run([*pip, "install", "--quiet", "--no-compile", wheel], tmp_path)
    matrix = tmp_path / "empty/bin/matrix"
    assert run([matrix, "--version"], tmp_path).startswith("matrix ")
    assert "\nsmoke " in run([matrix, "scenarios"], tmp_path)
    # One guest of each architecture shows that the images are there; tests/guests runs them all.
    # Without KVM: nested, and proven anew, it takes most of a minute. What QEMU answers is known.
    there = [each for each in Architecture if shutil.which(f"qemu-system-{each.value}")]
    lend_answers(tmp_path / ".cache/matrix", *there)
    said = run(
        [matrix, "run", "smoke", "-k", "boot and tcg", "-o", "out", "--no-history"], tmp_path
    )
    assert re.search(r"^(\d+) cases in .*: \1 of \1 passed$", said, re.MULTILINE)
    for name in ("results.json", "junit.xml", "report.html"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    if shutil.which("man") is not None:
        page = run(["man", "-l", tmp_path / "empty/share/man/man1/matrix.1"], tmp_path)
        assert "EXIT STATUS" in page
