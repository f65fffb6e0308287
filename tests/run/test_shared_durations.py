"""Durations that several hosts share."""

import json
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import UsageError
from matrix.run.known_durations import read_shared_durations

RESULTS = {
    "cases": [
        {"id": "a", "seconds": 6.0, "attempts": [{}, {}, {}]},
        {"id": "b", "seconds": 1.5, "attempts": [{}]},
        {"id": "skipped", "seconds": 0.0, "attempts": []},
        {"id": "broken", "seconds": None},
        {"seconds": 1.0},
        "nonsense",
    ]
}


def written(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_results_of_a_run(tmp_path: Path) -> None:
    written(tmp_path / "results.json", RESULTS)
    assert read_shared_durations(tmp_path / "results.json") == {"a": 2.0, "b": 1.5}
    assert read_shared_durations(tmp_path) == {"a": 2.0, "b": 1.5}


def test_a_table_of_seconds(tmp_path: Path) -> None:
    table = {"a": 2, "b": 1.5, "c": "x", "d": -1, "e": float("inf"), "f": True}
    path = written(tmp_path / "durations.json", table)
    assert read_shared_durations(path) == {"a": 2.0, "b": 1.5}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cases": []}', "3", "[" * 100_000])
def test_what_has_no_durations_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "durations.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"--durations: .*durations\.json.*name a run directory"):
        read_shared_durations(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--durations: .*no such file"):
        read_shared_durations(tmp_path / "nothing.json")
    with pytest.raises(UsageError, match=r"--durations: .*results\.json"):
        read_shared_durations(tmp_path)
