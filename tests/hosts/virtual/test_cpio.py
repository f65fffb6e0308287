"""The archive of an initramfs: cpio(1) reads it, and the same members give the same bytes."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.hosts.virtual.cpio import (
    Member,
    archive,
    character_device,
    folder,
    regular,
    symbolic_link,
)


@pytest.mark.skipif(shutil.which("cpio") is None, reason="no cpio(1) to read the archive with")
def test_cpio_unpacks_what_was_packed(tmp_path: Path) -> None:
    members = [folder("a"), regular("a/b", b"text"), regular("a/run", b"#!", executable=True)]
    members.append(symbolic_link("lib", "a/run"))
    subprocess.run(
        ["cpio", "--extract", "--quiet"], input=archive(members), cwd=tmp_path, check=True
    )
    assert (tmp_path / "a/b").read_bytes() == b"text"
    assert (tmp_path / "lib").readlink() == Path("a/run")
    assert stat.S_IMODE((tmp_path / "a/run").stat().st_mode) == 0o755


def _read(data: bytes) -> list[tuple[str, int, bytes]]:
    """Members by the format's description: path, mode, content."""
    found: list[tuple[str, int, bytes]] = []
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        numbers = [int(data[i : i + 8], 16) for i in range(at + 6, at + 110, 8)]
        name_end = at + 110 + numbers[11]
        name = data[at + 110 : name_end - 1].decode()
        begin = -(-name_end // 4) * 4
        end = begin + numbers[6]
        at = -(-end // 4) * 4
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        found.append((name, numbers[1], data[begin:end]))


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=30)), max_size=8))
def test_any_members_come_back(files: list[tuple[str, bytes]]) -> None:
    members = [regular(name, content) for name, content in files]
    assert _read(archive(members)) == [(m.path, m.mode, m.content) for m in members]


def test_a_device_has_its_numbers() -> None:
    header = archive([character_device("dev/console", 5, 1)])[:110]
    assert header[6 + 9 * 8 : 6 + 11 * 8] == b"0000000500000001"


@pytest.mark.parametrize("path", ["", "/init", "a\0b"])
def test_paths_that_no_archive_has(path: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        archive([Member(path, stat.S_IFREG)])
