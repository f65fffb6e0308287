"""Where kvmtool is looked for."""

from pathlib import Path

import pytest

from matrix.hosts.installations import find_kvmtool


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("lkvm-static", "mine"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_in_the_path(place: Path) -> None:
    assert find_kvmtool({"PATH": str(place)}) == str(place / "lkvm-static")
    (place / "lkvm").symlink_to("mine")
    assert find_kvmtool({"PATH": str(place)}) == str(place / "lkvm")


def test_by_name(place: Path) -> None:
    assert find_kvmtool({"PATH": str(place), "KVMTOOL": "mine"}) == str(place / "mine")
    assert find_kvmtool({"PATH": "", "KVMTOOL": str(place / "mine")}) == str(place / "mine")


def test_nowhere(place: Path) -> None:
    assert find_kvmtool({"PATH": "/nonexistent"}) == ""
    assert find_kvmtool({"PATH": str(place), "KVMTOOL": "other"}) == ""
