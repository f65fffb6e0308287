"""The user's folders where there is no user to speak of, and every command there."""

import os
import sys
from pathlib import Path

import pytest

from matrix import places

FOLDERS = (places.cache_folder, places.state_folder, places.config_folder)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No HOME, and a uid without a name."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", os.fspath)
    monkeypatch.setattr(Path, "home", no_home)


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.usefixtures("nobody")
def test_without_a_home_nothing_is_kept() -> None:
    for folder in FOLDERS:
        assert folder().is_relative_to(places.NOWHERE)
    assert places.expanded("~/x") == Path("~/x")


def test_with_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert places.cache_folder() == tmp_path / "cache/matrix"
    assert places.expanded("~/x") == tmp_path / "x"


def test_this_program_is_not_looked_for_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", ["/usr/bin", *sys.path])
    assert places.own_command() == (sys.executable, "-P", "-m", "matrix")
    monkeypatch.setattr(sys, "path", [str(Path(places.__file__).parents[1])])
    assert places.own_command() == (sys.executable, "-m", "matrix")
