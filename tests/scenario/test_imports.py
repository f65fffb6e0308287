"""What ``matrix --help`` may have to import stays cheap."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "matrix.scenario",
        "matrix.scenario.expand",
        "matrix.scenario.known",
        "matrix.scenario.narrow",
        "matrix.scenario.selection",
        "matrix.scenario.units",
    ],
)
def test_neither_pydantic_nor_yaml_is_imported(module: str) -> None:
    program = f"import sys, {module}; print(*sorted({{'pydantic', 'yaml'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
