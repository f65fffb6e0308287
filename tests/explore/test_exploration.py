"""What is kept of explorations, and what several have seen together."""

from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.explore.cells import Cell, Coverage
from matrix.explore.exploration import (
    Exploration,
    Seen,
    Took,
    keep,
    kept,
    seen_of,
    summary,
    together,
)
from matrix.explore.finding import Chosen

HOP = Cell("x86_64", "running", "old → new", "hop by precopy over tcp")
RESET = Cell("x86_64", "running", "old", "reset")
FIRST = Exploration(
    scenarios=("few.yaml",),
    chosen=Chosen("", "", qemu=("new=there",)),
    seeds=(1,),
    guests=2,
    steps=3,
    seconds=1.5,
    signatures={"hop: late": 2},
    seen=(Seen(HOP, 3), Seen(RESET, 0)),
    impossible=("x86_64: savevm: too old",),
    took={"reset": Took(2, 0.5)},
)


def test_one_that_was_kept(tmp_path: Path) -> None:
    keep(FIRST, tmp_path / "exploration.json")
    assert kept(tmp_path / "exploration.json") == FIRST


def test_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        kept(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(UsageError, match=r"text\.json: Invalid JSON"):
        kept(tmp_path / "text.json")
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(UsageError, match=r"empty\.json: scenarios: missing"):
        kept(tmp_path / "empty.json")
    (tmp_path / "new.json").write_text('{"format": 99}')
    with pytest.raises(UsageError, match="format 99 is not known"):
        kept(tmp_path / "new.json")


def test_several_together() -> None:
    second = Exploration(
        seeds=(2,),
        guests=1,
        steps=4,
        seconds=0.5,
        signatures={"hop: late": 1, "proof: silent": 1},
        seen=(Seen(HOP, 1), Seen(RESET, 3)),
        impossible=("x86_64: savevm: too old",),
        took={"reset": Took(1, 0.25), "stop": Took(1, 0.5)},
    )
    total = together([FIRST, second])
    assert (total.scenarios, total.chosen, total.seeds) == (("few.yaml",), FIRST.chosen, (1, 2))
    assert (total.guests, total.steps, total.seconds) == (3, 7, 2.0)
    assert total.signatures == {"hop: late": 3, "proof: silent": 1}
    assert total.took == {"reset": Took(3, 0.75), "stop": Took(1, 0.5)}
    assert set(total.seen) == {Seen(HOP, 4), Seen(RESET, 3)}
    assert total.impossible == FIRST.impossible


def test_coverage_there_and_back() -> None:
    coverage = Coverage([HOP, RESET])
    coverage.seen[HOP] = 3
    again = Exploration(seen=seen_of(coverage)).coverage
    assert (again.cells, again.seen, again.covered) == (coverage.cells, coverage.seen, 1)


def test_a_summary() -> None:
    assert list(summary(FIRST)) == [
        "seen  of",
        "   0  1     x86_64  old  reset",
        "   1  1     x86_64  old → new  hop by precopy",
        "not done: x86_64: savevm: too old",
    ]
