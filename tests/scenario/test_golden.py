"""Every message about a scenario file, each with the file that it is about."""

from pathlib import Path

import pytest
import yaml

from matrix.errors import ScenarioError
from matrix.scenario.load import read_scenario
from tests.conftest import Golden

GOLDEN = Path(__file__).parent / "golden"
VARIABLES = {"KVM_UNIT_TESTS": "/kut", "EMPTY": "", "BELL": "\a"}


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.yaml")), ids=lambda file: file.stem)
def test_messages(golden: Golden, file: Path) -> None:
    if file.stem.startswith("syntax-") and not yaml.__with_libyaml__:
        pytest.skip("the wording of syntax errors is libyaml's")
    with pytest.raises(ScenarioError) as caught:
        read_scenario(file.read_bytes(), file.name, Path("/scenarios"), VARIABLES)
    golden(f"{file.stem}.err", f"{caught.value}\n")


def test_every_golden_message_has_its_file() -> None:
    assert {file.stem for file in GOLDEN.glob("*.err")} == {
        file.stem for file in GOLDEN.glob("*.yaml")
    }
    assert len(list(GOLDEN.glob("*.yaml"))) > 70
