"""A finding's file."""

import json
from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.explore.finding import Chosen, Finding, read, write
from matrix.explore.step import Operation, Step
from matrix.migrating import Fault, Strategy, Transport

STEPS = (
    Step(Operation.STOP),
    Step(Operation.CONT),
    Step(Operation.HOP, "11.1", Strategy.PRECOPY, Transport.TCP, Fault.DROP_IN_PRECOPY),
    Step(Operation.HOP, "11.1", Strategy.FILE, parameters=(("downtime-limit", 300),)),
)
FINDING = Finding(
    chosen=Chosen("explore.x86_64", "/a/explore.yaml", qemu=("11.1=/q",), set_axis=("qemu=11.1",)),
    signature="hop: # s",
    reason="3 s",
    steps=STEPS,
    failed=2,
    lives=3,
    shrunk_from=20,
    seed=7,
)


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write(FINDING, tmp_path / "f.json")
    assert read(tmp_path / "f.json") == FINDING
    assert json.loads((tmp_path / "f.json").read_bytes())["steps"][2]["fault"] == "drop-in-precopy"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense", "f.json is no finding: Invalid JSON"),
        ("{}", "chosen: Field required"),
        ('{"format": 9}', "chosen: Field required"),
    ],
)
def test_what_is_no_finding(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=why):
        read(path)


def test_another_format(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    write(FINDING, path)
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(UsageError, match="format 2 is not known, 1 is"):
        read(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path / "f.json")
