"""The cache: what is kept, what is not believed, and what happens where nothing can be kept."""

import logging
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from matrix.hosts.cache import Cache, cache_directory


def identity(value: Any) -> Any:
    return value


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache/inventory", version="1.0")


def entry(cache: Cache) -> Path:
    (path,) = cache.directory.iterdir()
    return path


def test_round_trip(cache: Cache) -> None:
    assert cache.read("name", "key", identity) is None
    cache.write("name", "key", {"a": [1, "ü"]})
    assert cache.read("name", "key", identity) == {"a": [1, "ü"]}
    assert cache.directory.stat().st_mode & 0o777 == 0o700
    assert entry(cache).stat().st_mode & 0o777 == 0o600


def test_another_key_name_or_version_gives_nothing(cache: Cache) -> None:
    cache.write("name", "key", 1)
    assert cache.read("name", "other", identity) is None
    assert cache.read("other", "key", identity) is None
    assert Cache(cache.directory, version="1.1").read("name", "key", identity) is None
    assert cache.read("name", "key", identity) == 1


def test_an_entry_under_anothers_name_is_not_believed(cache: Cache) -> None:
    cache.write("name", "key", 1)
    first = entry(cache)
    cache.write("other", "key", 2)
    (second,) = (path for path in cache.directory.iterdir() if path != first)
    second.replace(first)
    assert cache.read("name", "key", identity) is None


def test_writing_again_replaces(cache: Cache) -> None:
    cache.write("name", "key", 1)
    cache.write("name", "new", 2)
    assert cache.read("name", "key", identity) is None
    assert cache.read("name", "new", identity) == 2
    assert entry(cache).name.endswith(".json")


def test_every_damage_is_noticed(cache: Cache) -> None:
    cache.write("name", "key", {"devices": ["edu", "pvpanic"]})
    path = entry(cache)
    whole = path.read_bytes()
    generator = random.Random(1)
    damaged = [whole[:length] for length in (0, 1, len(whole) // 2, len(whole) - 1)]
    damaged += [whole + b" ", b"\0" * len(whole), b"\n" + whole]
    for _ in range(200):
        position = generator.randrange(len(whole))
        flipped = bytes([whole[position] ^ (1 << generator.randrange(8))])
        damaged.append(whole[:position] + flipped + whole[position + 1 :])
    for content in damaged:
        path.write_bytes(content)
        assert cache.read("name", "key", identity) is None, content
    path.write_bytes(whole)
    assert cache.read("name", "key", identity) is not None


@pytest.mark.parametrize("error", [KeyError("k"), ValueError("v"), TypeError("t"), IndexError("i")])
def test_a_value_that_cannot_be_decoded_is_none(cache: Cache, error: Exception) -> None:
    def decode(value: Any) -> Any:
        raise error

    cache.write("name", "key", 1)
    assert cache.read("name", "key", decode) is None


def test_a_folder_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file/inventory")
    with caplog.at_level(logging.WARNING):
        cache.write("name", "key", 1)
        cache.write("name", "key", 2)
    assert [record.getMessage() for record in caplog.records] == [
        f"nothing can be kept in {tmp_path}/file/inventory: Not a directory"
    ]
    assert cache.read("name", "key", identity) is None


def untrusted_folder(folder: Path) -> None:
    folder.chmod(0o777)


def untrusted_parent(folder: Path) -> None:
    folder.parent.chmod(0o775)


def a_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


def a_pipe_in_it(folder: Path) -> None:
    (entry,) = folder.iterdir()
    entry.unlink()
    os.mkfifo(entry)


def a_link_in_it(folder: Path) -> None:
    (entry,) = folder.iterdir()
    entry.rename(folder / "other")
    entry.symlink_to("other")


@pytest.mark.parametrize(
    "change", [untrusted_folder, untrusted_parent, a_link, a_pipe_in_it, a_link_in_it]
)
def test_what_others_could_change_is_not_read(cache: Cache, change: Any) -> None:
    cache.write("name", "key", 1)
    assert Cache(cache.directory, version="1.0").read("name", "key", identity) == 1
    change(cache.directory)
    assert Cache(cache.directory, version="1.0").read("name", "key", identity) is None


@pytest.mark.parametrize("change", [untrusted_folder, untrusted_parent, a_link])
def test_nothing_is_written_where_others_could_change_it(
    cache: Cache, change: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write("name", "key", 1)
    change(cache.directory)
    Cache(cache.directory, version="1.0").write("other", "key", 1)
    assert len(list(cache.directory.iterdir())) == 1
    assert "nothing can be kept in" in caplog.text


def test_a_folder_that_is_exchanged_after_it_was_checked_is_not_read(cache: Cache) -> None:
    cache.write("name", "key", 1)
    cache.directory.rename(cache.directory.with_name("former"))
    cache.directory.mkdir(mode=0o777)
    assert cache.read("name", "key", identity) == 1
    assert list(cache.directory.iterdir()) == []


def test_folders_are_made_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        cache = Cache(tmp_path / "a/b/inventory")
        cache.write("name", "key", 1)
    finally:
        os.umask(former)
    assert cache.read("name", "key", identity) == 1
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_a_full_disk_leaves_the_old_entry_and_nothing_else(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    cache.write("name", "key", "old")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        cache.write("name", "key", "new")
    assert cache.read("name", "key", identity) == "old"
    assert entry(cache).name.endswith(".json")


def test_concurrent_runs_always_find_a_whole_entry(tmp_path: Path) -> None:
    def write_and_read(writer: int) -> int:
        cache = Cache(tmp_path / "c")
        found = 0
        for number in range(100):
            cache.write("name", "key", {"writer": writer, "text": str(number) * 1000})
            value = cache.read("name", "key", identity)
            found += value is not None and len(set(value["text"])) <= 2
        return found

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(write_and_read, range(3))) == [100, 100, 100]
    assert len(list((tmp_path / "c").iterdir())) == 1


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_directory({"MATRIX_CACHE": str(tmp_path)}) == tmp_path / "inventory"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory({}) == tmp_path / "matrix/inventory"
