"""Fixtures for scenarios given as text and suites made up on the spot."""

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from matrix.errors import ScenarioError
from matrix.model import Architecture, Build, Test
from matrix.scenario.given_files import read_given
from matrix.scenario.load import read_scenario
from matrix.scenario.scenario import Scenario, SuiteTests

Load = Callable[..., Scenario]
Suite = Callable[[Architecture], SuiteTests]


def load_text(text: str | bytes, variables: Mapping[str, str] | None = None) -> Scenario:
    data = dedent(text).encode() if isinstance(text, str) else text
    return read_scenario(data, "x.yaml", Path("/scenarios"), variables or {})


def load_file(path: Path, variables: Mapping[str, str] | None = None) -> Scenario:
    """Scenario from a file, without the cache that the commands have."""
    given = read_given(path)
    return read_scenario(given.data, str(path), given.directory, variables or {})


@pytest.fixture
def load() -> Load:
    """Scenario from text; it stands in /scenarios/x.yaml."""
    return load_text


@pytest.fixture
def load_matrix() -> Load:
    """Scenario from the text of a matrix in flow style."""

    def load(matrix: str) -> Scenario:
        return load_text(
            f"name: s\nsuite: {{kind: kvm-unit-tests, build: builtin}}\nmatrix: {matrix}"
        )

    return load


@pytest.fixture
def refusals() -> Callable[..., list[str]]:
    """The problems of a text, as they are shown."""

    def refusals(text: str | bytes, variables: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ScenarioError) as caught:
            load_text(text, variables)
        return str(caught.value).splitlines()

    return refusals


@pytest.fixture
def suite() -> Suite:
    """boot, smp, memory and two tests in group nodefault, the same on every architecture."""

    def suite(architecture: Architecture) -> SuiteTests:
        build = Build(architecture, f"/build/{architecture}", f"/build/{architecture}")
        return SuiteTests(
            build,
            (
                Test("boot", "/build/boot.elf", groups=("quick",)),
                Test("smp", "/build/smp.elf", groups=("quick", "cpu")),
                Test("memory", "/build/memory.elf"),
                Test("spin", "/build/spin.elf", groups=("nodefault", "cpu")),
                Test("hang", "/build/hang.elf", groups=("nodefault",)),
            ),
        )

    return suite
