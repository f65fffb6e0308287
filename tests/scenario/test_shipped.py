"""The scenarios that come with the project are valid, say what they are for, and are named so."""

import re
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


QEMU_ITSELF = re.compile(r"^(seen once: )?QEMU itself (aborts|hangs) \([^()]*\(?[^()]*\)?[^()]*\)$")


@pytest.mark.parametrize("path", EXPECTATIONS, ids=lambda path: path.stem)
def test_no_reason_says_how_to_provoke_a_crash_of_qemu(path: Path) -> None:
    """What crashed or hung, in QEMU's words or by what was seen of it, and nothing else."""
    known, _ = read_expectations(path.read_bytes(), path.name)
    for reason in (each.expectation.reason for each in known):
        if re.search(r"QEMU\b[^(]*\b(abort|crash|hang|die)", reason):
            assert QEMU_ITSELF.search(reason)
            assert not re.search(r"\b(if|when|while|after|before|by)\b", reason)
