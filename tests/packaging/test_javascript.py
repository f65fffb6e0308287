"""What checks the report's scripts: pinned, from whatever registry, and only where node is."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / ".ci/javascript"


def test_versions_are_exact_and_no_registry_is_named() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    locked = lock["packages"]
    assert locked.pop("")["devDependencies"] == package["devDependencies"]
    for name, version in package["devDependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert locked[f"node_modules/{name}"]["version"] == version
    for each in locked.values():
        assert "resolved" not in each
        assert each["integrity"].startswith("sha512-")


@pytest.mark.parametrize("version", [None, "18.20.4", "20.18.3"])
def test_without_a_node_that_can_it_says_so_and_goes_on(
    version: str | None, tmp_path: Path
) -> None:
    if version is not None:
        _program(tmp_path / "npm", "exit 1")
        node = shutil.which("node")
        if node is None:
            pytest.skip("no node is here")
        fake = f"Object.defineProperty(process, 'versions', {{value: {{node: '{version}'}}}});"
        _program(tmp_path / "node", f'exec {node} --eval "{fake} $2"')
    done = subprocess.run(
        ["/bin/bash", FOLDER / "check"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == (
        "Without npm and node 20.19 or later the report's scripts are not checked.\n"
    )
    assert done.stdout == ""


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
