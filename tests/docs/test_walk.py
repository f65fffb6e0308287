"""The walk of one case names modules that are there, and stays short enough to be read."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WALK = (ROOT / "docs/explanation/walk.md").read_text("utf-8")


def test_every_module_is_there() -> None:
    modules = re.findall(r"`(\w+/[\w/]+\.py)`", WALK)
    assert len(modules) > 20
    assert [module for module in modules if not (ROOT / "matrix" / module).is_file()] == []


def test_it_is_short() -> None:
    assert len(WALK.splitlines()) <= 60
