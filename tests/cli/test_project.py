"""What a project file does to the commands, against a fake QEMU."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from matrix.cli.doctoring import settings_rows, settings_table
from matrix.hosts.installations import installations
from matrix.hosts.project import load_settings
from tests.cli.conftest import World, failing, passing


def project(world: World, more: str = "") -> None:
    world.suite(good=passing(), bad=failing("a subtest"))
    (world.root / "known.yaml").write_text(
        "expect: [{cases: [fake.bad.*], reason: known since long}]\n"
    )
    (world.root / "matrix.yaml").write_text(
        "scenarios: [scenario.yaml]\nqemu: {fake: qemu}\njobs: 1\n" + more
    )


def test_a_run_needs_no_options(world: World) -> None:
    project(world, "expect: [known.yaml]\ntimeout: 9s\n")
    (world.root / "below").mkdir()
    done = world.run("run", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert world.verdicts() == {"good": "pass", "bad": "xfail"}
    options = json.loads((world.root / "out/run.json").read_text())["options"]
    assert options["jobs"] == 1
    assert options["selection"]["timeout"] == "9s"


def test_the_command_line_comes_first(world: World) -> None:
    project(world, "timeout: 9s\nstrict: true\n")
    done = world.run("run", "--timeout", "8s", "-j", "2", "--no-strict", "-o", "out")
    assert done.returncode == 1, done.stderr
    options = json.loads((world.root / "out/run.json").read_text())["options"]
    assert (options["jobs"], options["strict"]) == (2, False)
    assert options["selection"]["timeout"] == "8s"


def test_a_rerun_is_as_its_run_was(world: World) -> None:
    project(world, "timeout: 9s\n")
    world.run("run", "-o", "out")
    project(world, "timeout: 7s\n")
    done = world.run("run", "--failed", "out", "-o", "again")
    assert done.returncode == 1, done.stderr
    assert world.verdicts("again") == {"bad": "fail"}
    options = json.loads((world.root / "again/run.json").read_text())["options"]
    assert options["selection"]["timeout"] == "9s"


@pytest.mark.parametrize("width", [80, 120])
def test_doctor_says_where_each_value_came_from(
    world: World, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    project(world)
    (world.root / "host.yaml").write_text("jobs: 9\nrepeat: 2\n")
    monkeypatch.chdir(world.root)
    settings = load_settings(Path("host.yaml"), {})
    qemu = str(world.root / "qemu")
    rows = list(settings_rows(settings, installations([f"more={qemu}"], settings)))
    assert rows == [
        ("jobs", "1", "matrix.yaml:3:1"),
        ("repeat", "2", "host.yaml:2:1"),
        ("scenarios", "scenario.yaml", "matrix.yaml:1:1"),
        ("qemu.fake", qemu, "matrix.yaml:2:8"),
        ("qemu.more", qemu, "--qemu"),
    ]
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(settings_table([*rows, ("qemu.far", "/far" * 40, "x.yaml:1:1")]))
    lines = console.export_text().splitlines()
    assert ["jobs", "1", "matrix.yaml:3:1"] in [line.split() for line in lines]
    assert max(map(len, lines)) <= width


def test_a_mistake_is_told_with_its_place(world: World) -> None:
    project(world, "jbos: 2\n")
    done = world.run("list")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "matrix: matrix.yaml:4:1: unknown key 'jbos'; did you mean 'jobs'?"
    )
