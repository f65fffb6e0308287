"""The files of cases on a host."""

import hashlib
import os
from pathlib import Path

import pytest

from matrix.hosts.contents import CaseFile
from matrix.hosts.fleet.file_cache import FileCache
from matrix.hosts.lines import WireError


def put(cache: FileCache, data: bytes, name: str = "file:0/image") -> CaseFile:
    file = CaseFile(name, hashlib.sha256(data).hexdigest(), len(data))
    incoming = cache.receive(file.sha256, file.size)
    incoming.write(data)
    incoming.finish()
    return file


def test_a_file_has_its_own_name(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "files")
    file = put(cache, b"guest")
    assert cache.has(file)
    path = cache.link(file, tmp_path / "run")
    assert (path.name, path.read_bytes()) == ("image", b"guest")
    other = CaseFile("file:1/other", file.sha256, file.size)
    assert cache.link(other, tmp_path / "run").name == "other"


def test_what_was_used_least_lately_goes_and_a_run_keeps_its_own(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "files", most=10)
    old, older = put(cache, b"1234"), put(cache, b"5678", "file:1/image")
    kept = cache.link(older, tmp_path / "run")
    for age, file in ((100, old), (200, older)):
        os.utime(cache.folder / file.sha256, (age, age))
    cache.link(old, tmp_path / "run")
    new = put(cache, b"9abc")
    cache.prune()
    assert [cache.has(each) for each in (old, older, new)] == [True, False, True]
    assert kept.read_bytes() == b"5678"


def test_what_is_not_what_it_was_announced_as_is_not_kept(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "files")
    incoming = cache.receive("0" * 64, 5)
    incoming.write(b"other")
    with pytest.raises(WireError, match="but 0000"):
        incoming.finish()
    incoming = cache.receive("0" * 64, 5)
    with pytest.raises(WireError, match="more bytes than were announced"):
        incoming.write(b"others")
    incoming.drop()
    assert [*cache.folder.iterdir()] == []


@pytest.mark.parametrize("name", ["image", "file:0/..", "file:x/a", "file:0/a/b", "file:0/"])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    cache = FileCache(tmp_path / "files")
    digest = put(cache, b"x").sha256
    with pytest.raises(WireError, match="names no file"):
        cache.link(CaseFile(name, digest, 1), tmp_path / "run")
    with pytest.raises(WireError, match="is no digest"):
        cache.has(CaseFile("file:0/a", "../" + digest[3:], 1))
