"""``matrix history``, and that runs are recorded, whatever happens to the database."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Scripts, World


def run_into(world: Any, name: str, *more: str) -> Any:
    return world.run("run", "scenario.yaml", "--qemu", "fake=qemu", "-o", name, *more)


def history(world: Any, *arguments: str) -> dict[str, Any]:
    done = world.run("history", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_every_run_is_recorded(world: World, scripts: Scripts) -> None:
    world.suite(works=scripts.passing(), breaks=scripts.passing())
    assert run_into(world, "first").stderr == ""
    world.suite(works=scripts.passing(), breaks=scripts.failing("y"))
    done = run_into(world, "second", "--repeat", "2")
    assert (done.returncode, done.stderr) == (1, "")

    document = history(world)
    assert document["database"] == str(world.root / "state/history.sqlite")
    assert [run["exit_code"] for run in document["runs"]] == [0, 1]
    assert [run["directory"] for run in document["runs"]] == [
        str(world.root / name) for name in ("first", "second")
    ]
    cases = {case["id"]: case for case in document["cases"]}
    broken = cases["fake.breaks.x86_64.tcg.qemu=fake"]
    assert [len(result["attempts"]) for result in broken["results"]] == [1, 2]
    assert broken["broke"]["first_bad"] == document["runs"][1]["key"]

    shown = world.run("history", "breaks").stdout
    assert "Broken: for 1 run, up to the latest\n" in shown
    shown = world.run("history").stdout
    assert "Runs: the latest 2 of 2\n" in shown
    assert "Broken: 1 case\n" in shown

    compared = ("compare", "history:latest", "second", "--fail-on-regression")
    done = world.run(*compared)
    assert done.returncode == 1
    assert done.stdout.startswith("1 new failure; 1 of 2 cases as before\n")
    assert f"A  history:{document['runs'][0]['key']}" in done.stdout
    back = world.run("compare", "second/results.json", "first", "--fail-on-regression")
    assert back.returncode == 0
    assert back.stdout.startswith("1 fix; 1 of 2 cases as before\n")


def test_a_run_does_not_load_sqlalchemy(
    world: World, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes 0.2 s, and a short run may not cost so much."""
    environment = {**world.environment(), "PYTHONPROFILEIMPORTTIME": "1"}
    monkeypatch.setattr(world, "environment", lambda: environment)
    world.suite(one=scripts.passing())
    for name in ("first", "second"):  # into a new database, and into one that is there
        done = run_into(world, name)
        assert done.returncode == 0
        loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "matrix.results.history.writer" in loaded
        assert not loaded & {"sqlalchemy", "alembic", "psycopg"}
    assert (world.root / "state/history.sqlite").exists()


def test_the_longest_starts_first_next_time(world: World, scripts: Scripts) -> None:
    world.suite(quick=scripts.passing(), slow=scripts.passing(0.5))
    run_into(world, "first", "-j", "1")
    world.suite(quick=scripts.passing(), slow=scripts.passing())
    run_into(world, "second", "-j", "1")
    order = [event["case"].split(".")[1] for event in world.events("attempt-started", "second")]
    assert order == ["slow", "quick"]


def test_runs_are_taken_in_once(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    assert run_into(world, "first", "--no-history").returncode == 0
    assert not (world.root / "state").exists()
    shutil.copytree(world.root / "first", world.root / "copy")
    (world.root / "none").mkdir()
    done = world.run("history", "--import", "first", "copy", "none", "--database", "my.sqlite")
    assert done.returncode == 2
    assert [line.split("  ")[1:] for line in done.stdout.splitlines()] == [
        ["recorded", "first"],
        ["known already", "copy"],
    ]
    assert "none is not a run directory" in done.stderr
    assert len(history(world, "--database", "sqlite:///my.sqlite")["runs"]) == 1


def test_an_empty_variable_switches_it_off(
    world: World, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = world.environment()
    monkeypatch.setattr(world, "environment", lambda: {**environment, "MATRIX_DATABASE": ""})
    world.suite(one=scripts.passing())
    assert run_into(world, "first").stderr == ""
    assert not (world.root / "state").exists()
    done = world.run("history")
    assert done.returncode == 2
    assert "MATRIX_DATABASE is set and empty" in done.stderr


def corrupt(state: Path) -> None:
    state.mkdir()
    (state / "history.sqlite").write_text("no database, " * 100)


def unwritable(state: Path) -> None:
    state.write_text("a file where the folder should be")


@pytest.mark.parametrize(
    ("harm", "message"), [(corrupt, "it is damaged"), (unwritable, "cannot create")]
)
def test_a_run_is_unharmed_by_its_history(
    world: World, scripts: Scripts, harm: Any, message: str
) -> None:
    harm(world.root / "state")
    world.suite(good=scripts.passing(), bad=scripts.failing("x"))
    done = run_into(world, "out")
    assert done.returncode == 1
    assert done.stderr.startswith("warning: the run is not in the history: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert world.verdicts() == {"good": "pass", "bad": "fail"}
    assert "\nResults in out\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("history",), 2, "no run is recorded yet"),
        (("history", "one", "two"), 2, "2 cases: name one"),
        (("history", "--import"), 2, "name the run directories"),
        (("history", "--database", "mysql://host/name"), 2, "mysql is not known"),
        (("history", "--database", ""), 2, "there is no history"),
        (("compare", "history:latest", "history:2026"), 2, "no run is recorded yet"),
        (("run", "scenario.yaml", "--database", "mysql://x/y"), 2, "mysql is not known"),
        (("run", "scenario.yaml", "--no-history", "--database", "x"), 2, "only one of them"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from matrix.cli.main import main

    monkeypatch.setenv("MATRIX_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("MATRIX_DATABASE", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["matrix", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
