"""What cases took last, and loading what writes the history."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.model import Accelerator
from matrix.results.history.place import Database
from matrix.results.history.writer import record_run
from matrix.results.recorder import Recorder
from matrix.run import known_durations as durations
from matrix.run.known_durations import known_seconds, load_writer
from tests import make
from tests.run.conftest import planned


def test_what_was_recorded_is_known(tmp_path: Path, start: Callable[..., Recorder]) -> None:
    database = Database(tmp_path / "history.sqlite")
    run = planned("slow", repeat=2)
    recorder = start(run, make.skip(make.case("skipped"), "no reason but this"))
    for number, seconds in ((1, 2.0), (2, 4.0)):
        recorder.begin(run.case, number)
        recorder.finish(run.case, make.attempt(number=number, seconds=seconds))
    record_run(database, recorder.record)
    skip = make.skip(make.case("skipped"), "no reason but this")
    assert known_seconds([run, skip], database) == {"scenario.slow": 3.0}
    elsewhere = replace(run, accelerator=Accelerator.KVM)
    assert known_seconds([elsewhere], database) == {}


def test_without_a_history_nothing_is_known(tmp_path: Path) -> None:
    assert known_seconds([planned("one")], None) == {}
    assert known_seconds([planned("one")], Database(tmp_path / "none.sqlite")) == {}
    assert not (tmp_path / "none.sqlite").exists()


def test_the_writer_is_loaded_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stands_for_the_writer.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(durations, "_WRITER", "stands_for_the_writer")
    (loaded,) = load_writer(Database(tmp_path / "history.sqlite"))
    assert sys.modules.pop("stands_for_the_writer") is loaded


def test_nothing_is_loaded_without_a_history() -> None:
    assert list(load_writer(None)) == []
