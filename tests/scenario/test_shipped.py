"""The scenarios that come with the project are valid, say what they are for, and are named so."""

from pathlib import Path

import pytest

from matrix.scenario.expectations import read_expectations
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


EXPECTATIONS = sorted((Path(__file__).parents[2] / "scenarios/expectations").glob("*.yaml"))


@pytest.mark.parametrize("path", EXPECTATIONS, ids=lambda path: path.stem)
def test_shipped_known_failures(path: Path) -> None:
    known, problems = read_expectations(path.read_bytes(), path.name)
    assert not problems
    assert known
    of_one_scenario = path.stem in {scenario.stem for scenario in SCENARIOS}
    for each in known:
        expectation = each.expectation
        # The embedded guests come along with it; of other suites users have any revision.
        assert each.revision or of_one_scenario
        assert expectation.arch
        assert expectation.accel
        assert expectation.qemu
        is_id = ["." in pattern for pattern in expectation.cases]
        assert of_one_scenario or not any(is_id), "ids are of one scenario"
        assert "/" not in expectation.reason.split(":")[0], "no path of the host where it was seen"
