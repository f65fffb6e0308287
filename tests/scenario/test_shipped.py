"""The scenarios that come with the project are valid, say what they are for, and are named so."""

from pathlib import Path

import pytest

from matrix.scenario.load import load_scenario

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def test_there_are_some() -> None:
    assert {"smoke", "verdicts", "kvm-unit-tests"} <= {path.stem for path in SCENARIOS}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_shipped_scenario(path: Path) -> None:
    scenario = load_scenario(path, {})
    assert scenario.name == path.stem
    assert scenario.description
    assert scenario.variants
    assert path.read_text().startswith("# "), "it begins by saying what it is for"
