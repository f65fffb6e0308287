"""The memory of how long cases took: a hint that never gets in the way."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.run import durations
from matrix.run.durations import Durations


def test_saved_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "durations.json"
    Durations(path).save({"a": 1.23456, "b": 2})
    assert Durations(path).seconds == {"a": 1.235, "b": 2.0}


def test_another_runs_entries_survive(tmp_path: Path) -> None:
    path = tmp_path / "durations.json"
    one, two = Durations(path), Durations(path)
    one.save({"a": 1})
    two.save({"b": 2})
    assert Durations(path).seconds == {"a": 1.0, "b": 2.0}


def test_the_oldest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "MOST_CASES", 3)
    path = tmp_path / "durations.json"
    Durations(path).save({"a": 1, "b": 2, "c": 3})
    Durations(path).save({"a": 4, "d": 5})
    assert Durations(path).seconds == {"c": 3.0, "a": 4.0, "d": 5.0}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"a": "x", "b": 1}', '{"a": -1, "b": 1}', "[" * 100_000]
)
def test_a_broken_file_is_taken_for_what_it_holds(tmp_path: Path, text: str) -> None:
    path = tmp_path / "durations.json"
    path.write_text(text)
    assert Durations(path).seconds in ({}, {"b": 1.0})


def test_an_unwritable_place_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Durations(tmp_path / "file" / "durations.json").save({"a": 1})


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("state") / "durations.json"
    path.write_bytes(data)
    assert all(seconds >= 0 for seconds in Durations(path).seconds.values())


def test_the_environment_names_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(durations.VARIABLE, str(tmp_path))
    Durations().save({"a": 1})
    assert json.loads((tmp_path / "durations.json").read_text()) == {"a": 1}
