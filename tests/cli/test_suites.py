"""A kind of suite is a module and a line of the registry: nothing else has to know of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import matrix
from matrix.suites.registry import KINDS
from tests.cli.conftest import World

TOYS = Path(__file__).with_name("toy_suite.py")
LINE = '    Kind("toys", "matrix.suites.toys", "folders of toys", "TOYS"),\n'
SCENARIO = """name: toys
suite: {kind: toys, build: toys}
matrix: {arch: [x86_64, aarch64], accel: [tcg], qemu: [fake]}
"""


@pytest.fixture
def toys(world: World) -> World:
    """The world with a copy of the package, which its command runs, that knows toys."""
    package = world.root / "matrix"
    source = Path(matrix.__file__).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__", "images"))
    shutil.copyfile(TOYS, package / "suites/toys.py")
    registry = package / "suites/registry.py"
    text = registry.read_text()
    assert text.count("_KINDS = (\n") == 1
    registry.write_text(text.replace("_KINDS = (\n", f"_KINDS = (\n{LINE}"))
    (world.root / "toys").mkdir()
    for name, said in {"duck": "good", "bear": "bad: no ears"}.items():
        (world.root / f"toys/{name}.toy").touch()
        script = {"cont": [["stdout", f"it says\n{said}\n"], ["exit", 7]]}
        (world.root / f"scripts/{name}.json").write_text(json.dumps(script))
    (world.root / "scenario.yaml").write_text(SCENARIO)
    return world


def test_one_line_adds_a_kind(toys: World) -> None:
    done = toys.matrix_run()
    assert done.returncode == 1, done.stderr
    cases = {case["id"]: (case["verdict"], case["reason"]) for case in toys.results()["cases"]}
    assert cases == {
        "toys.bear.x86_64.tcg.qemu=fake": ("fail", "bad: no ears"),
        "toys.duck.x86_64.tcg.qemu=fake": ("pass", ""),
        "toys.suite.aarch64.tcg.qemu=fake": ("skip", "no toys for aarch64"),
    }
    assert {case["suite"] for case in toys.results()["cases"]} == {"toys"}
    environment = toys.root / "out/cases/toys.duck.x86_64.tcg.qemu=fake/environment"
    assert environment.read_text() == "tcg\n"
    listed = toys.run("list", "scenario.yaml", "--qemu", "fake=qemu").stdout
    assert "run   toys.duck" in listed
    schema = json.loads(toys.run("schema").stdout)
    assert schema["$defs"]["SuiteSection"]["properties"]["kind"]["enum"] == ["toys", *KINDS]


def test_a_kind_without_guests_of_its_own_has_no_builtin(toys: World) -> None:
    (toys.root / "scenario.yaml").write_text(SCENARIO.replace("build: toys", "build: builtin"))
    done = toys.matrix_run()
    assert done.returncode == 2
    said = "build: no build of kind 'toys' comes with this program; give the path of one"
    assert done.stderr.splitlines() == [f"matrix: scenario.yaml:2:28: {said}"]


def test_the_pytest_plugin_runs_it(toys: World) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "scenario.yaml", "--matrix-qemu=fake=qemu"],
        cwd=toys.root,
        env=toys.environment(),
        text=True,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "1 failed, 1 passed, 1 skipped" in done.stdout
    assert "bad: no ears" in done.stdout
