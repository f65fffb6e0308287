"""Private folders, and what is left of those whose owner was killed."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.migration.folder import (
    LOCK,
    PrivateFolder,
    private_folder,
    remove_stale,
    short_parent,
)

KILLED = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from matrix.migration.folder import PrivateFolder
folder = PrivateFolder.make()
(folder.path / "hop-1").touch()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Shorter than pytest's own, which would not do for sockets."""
    with tempfile.TemporaryDirectory() as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        remove_stale.cache_clear()
        yield Path(name)


def test_it_is_ours_alone_and_goes(parent: Path) -> None:
    with private_folder() as folder:
        assert folder.parent == parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert [path.name for path in folder.iterdir()] == [LOCK]
        (folder / "key").touch()
    assert list(parent.iterdir()) == []


def test_what_a_killed_owner_left_is_removed_and_nothing_else(parent: Path) -> None:
    subprocess.run((sys.executable, "-c", KILLED, str(parent)), check=False)
    (left,) = parent.iterdir()
    assert {path.name for path in left.iterdir()} == {LOCK, "hop-1"}
    (parent / "matrix-of-someone-else").mkdir()
    (parent / "other").mkdir()
    (parent / "other" / LOCK).touch()
    (parent / "matrix-link").symlink_to(parent / "other")
    first = PrivateFolder.make()
    remove_stale.cache_clear()
    second = PrivateFolder.make()
    assert not left.exists()
    names = {path.name for path in parent.iterdir()}
    assert names == {
        *("matrix-of-someone-else", "other", "matrix-link"),
        *(first.path.name, second.path.name),
    }
    first.remove()
    first.remove()
    second.remove()
    assert not first.path.exists()


def test_another_user_s_folders_are_left(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = parent / "matrix-theirs"
    stale.mkdir()
    (stale / LOCK).touch()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    remove_stale(str(parent))
    assert stale.exists()


def test_one_whose_path_is_too_long_for_sockets_is_elsewhere(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = "/tmp/" + "long" * 62
    monkeypatch.setattr(tempfile, "tempdir", wanted)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(parent))
    with private_folder() as folder:
        assert folder.parent == parent
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(folder / "hop-1000000000"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert short_parent(wanted, ("/nowhere", str(parent))) == str(parent)
    with pytest.raises(HostError, match="set TMPDIR to a shorter one"):
        short_parent(wanted, ("/nowhere",))


def test_a_folder_that_cannot_be_made(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(parent / "missing"))
    with pytest.raises(FileNotFoundError):
        PrivateFolder.make()
