import json
import os
from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.results.latest import latest_run, scenario_of_latest


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(path: str, started: str, *scenarios: str) -> None:
    folder = Path(path)
    folder.mkdir(parents=True)
    info = {"started": started, "scenarios": [{"name": name} for name in scenarios]}
    (folder / "run.json").write_text(json.dumps(info))


def test_the_one_that_was_started_last() -> None:
    run("runs/b", "2026-11-29T10:00:00+00:00", "smoke")
    run("out", "2026-11-29T12:00:00+00:00", "smoke", "soak")
    run("runs/c", "2026-11-29T11:00:00+00:00", "faults")
    os.utime("runs/b/run.json")  # copied last
    assert latest_run() == Path("out")
    assert latest_run("soak") == Path("out")
    assert latest_run("faults") == Path("runs/c")


def test_what_is_no_run_is_passed_over() -> None:
    run("runs/a", "2026-11-29T10:00:00+00:00", "smoke")
    for number, text in enumerate(("", "[]", '{"started": 1}', '{"scenarios": [1]}')):
        Path(f"runs/{number}").mkdir()
        Path(f"runs/{number}/run.json").write_text(text)
    Path("runs/fifo").mkdir()
    os.mkfifo("runs/fifo/run.json")
    assert latest_run() == Path("runs/a")


def test_there_is_none() -> None:
    with pytest.raises(UsageError, match=r"no run in this directory or in runs/"):
        latest_run()
    with pytest.raises(UsageError, match=r"no run of smoke in this directory"):
        latest_run("smoke")


def test_which_words_mean_it() -> None:
    assert scenario_of_latest(Path("latest")) == ""
    assert scenario_of_latest(Path("latest:smoke")) == "smoke"
    assert scenario_of_latest(Path("runs/latest")) is None
    Path("latest").mkdir()
    assert scenario_of_latest(Path("latest")) is None  # a run directory of that name
