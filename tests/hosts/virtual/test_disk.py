"""The disk of a virtual host: what mke2fs wrote, read back by debugfs."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.hosts.virtual.disk import FOLDERS, SIZE, copy_content, write_empty, write_image

DEBUGFS = shutil.which("debugfs", path=os.environ["PATH"] + FOLDERS)


@pytest.mark.skipif(DEBUGFS is None, reason="no debugfs (e2fsprogs) to read the disk with")
def test_files_are_where_they_are_to_be(tmp_path: Path) -> None:
    assert DEBUGFS is not None
    source = tmp_path / "program"
    source.write_bytes(b"content" * 5000)
    image, disk = tmp_path / "image", tmp_path / "disk"
    asyncio.run(write_image({"/lib/a/b": source, "/c": source}, image))
    write_empty(disk)
    copy_content(image, disk)
    assert disk.stat().st_size == SIZE
    assert disk.stat().st_blocks * 512 < 64 << 20
    for name in ("/lib/a/b", "/c"):
        read = subprocess.run(
            [DEBUGFS, "-R", f"cat {name}", str(disk)], capture_output=True, check=True
        )
        assert read.stdout == source.read_bytes()
    status = subprocess.run(
        [DEBUGFS, "-R", "stat /c", str(disk)], capture_output=True, check=True, text=True
    )
    assert "Mode:  0755" in status.stdout
    assert [each.name for each in tmp_path.iterdir() if each.is_dir()] == []


def test_a_host_without_mke2fs_is_told_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("matrix.hosts.virtual.disk.FOLDERS", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="apt-get install e2fsprogs"):
        asyncio.run(write_image({}, tmp_path / "image"))
