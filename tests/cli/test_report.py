"""``matrix report``, and the page that every run leaves."""

import json
import os
from pathlib import Path

import pytest

from matrix.cli.report_command import run_report
from matrix.errors import UsageError
from tests.cli.conftest import World

PASSING = {"cont": [["stdout", "PASS: all is well\nSUMMARY: 1 tests\n"]]}
FAILING = {"cont": [["stdout", "FAIL: one\n"], ["exit", 3]]}


def test_a_run_leaves_its_page(world: World) -> None:
    world.suite(good=PASSING, bad=FAILING)
    assert world.matrix_run().returncode == 1
    page = (world.root / "out/report.html").read_text()
    assert "1 of 2 cases did not pass." in page


def test_runs_are_put_together(world: World) -> None:
    world.suite(good=PASSING)
    world.matrix_run()
    done = world.run("report", "out", "-o", "pages")
    assert (done.returncode, done.stdout) == (0, "pages/index.html\n")
    assert "Nothing broke: 1 of 1 case passed." in (world.root / "pages/index.html").read_text()
    again = world.run("report", "out")
    assert again.stdout.endswith("/out/report.html\n")


def test_what_is_wrong_is_said(world: World) -> None:
    world.suite(good=PASSING)
    world.matrix_run()
    assert "is not a run directory" in world.run("report", "build", "-o", "pages").stderr
    several = world.run("report", "out", "out")
    assert several.returncode == 2
    assert "name a folder for it with -o DIR" in several.stderr
    (world.root / "mine").mkdir()
    (world.root / "mine/index.html").write_text("mine")
    kept = world.run("report", "out", "-o", "mine")
    assert kept.returncode == 2
    assert "is not a report" in kept.stderr


def test_a_run_is_counted_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is given twice, and its cases would be counted twice"):
        run_report([tmp_path / "out", tmp_path / "a/../out"], tmp_path)
    with pytest.raises(UsageError, match="--database is for --history N"):
        run_report([tmp_path / "out"], tmp_path, database="runs.db")


def test_a_page_that_cannot_be_written_spoils_no_run(world: World) -> None:
    world.suite(good=PASSING)
    world.matrix_run()
    (world.root / "out/report.html").unlink()
    (world.root / "out/report.html").mkdir()
    done = world.run("run", "--resume", "out")
    assert done.returncode == 0
    assert "warning: there is no report.html: " in done.stderr
    assert "report.html exists and is not a report" in done.stderr


def test_a_run_for_other_programs(world: World) -> None:
    world.suite(good=PASSING, bad=FAILING)
    world.matrix_run()
    for words, name in ((("--format", "ctrf"), "ctrf"), (("--trace",), "trace")):
        done = world.run("report", "out", *words)
        assert (done.returncode, done.stdout) == (0, f"out/{name}.json\n")
        json.loads((world.root / f"out/{name}.json").read_text())
    done = world.run("report", "out", "--format", "kcidb", "--origin", "our_ci", "-o", "-")
    assert done.returncode == 0, done.stderr
    tests = json.loads(done.stdout)["tests"]
    assert [(each["origin"], each["status"]) for each in tests] == [
        ("our_ci", "PASS"),
        ("our_ci", "FAIL"),
    ]
    os.mkfifo(world.root / "pipe")
    with open(os.open(world.root / "pipe", os.O_RDONLY | os.O_NONBLOCK)) as reader:  # noqa: PTH123 - no path
        done = world.run("report", "out", "--format", "ctrf", "-o", "pipe")
        assert (done.returncode, done.stdout) == (0, "pipe\n")
        assert json.load(reader)["reportFormat"] == "CTRF"
    assert (world.root / "pipe").is_fifo()
    several = world.run("report", "out", "out", "--trace")
    assert several.returncode == 2
    assert several.stderr == "matrix: --format trace: a file is of one run, and 2 are given\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--origin", "ci"], "--origin is for --format kcidb"),
        (["--format", "ctrf", "--origin", "ci"], "--origin is for --format kcidb"),
        (["--trace", "--format", "ctrf"], "--trace and --format ctrf: give one of the two"),
        (
            ["--trace", "--history", "3"],
            "--history is for the page, which --format trace does not write",
        ),
    ],
)
def test_options_that_would_be_ignored(world: World, words: list[str], message: str) -> None:
    done = world.run("report", "out", *words)
    assert (done.returncode, done.stderr) == (2, f"matrix: {message}\n")
