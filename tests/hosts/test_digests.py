"""Digests of files: read once, and again as soon as a file may be another one."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.hosts.cache import Cache
from matrix.hosts.digests import LOOK_EVERY, SETTLED, Digests, SharedFiles, unchanged


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"one")
    return path


def later() -> int:
    return time.time_ns() + 10 * SETTLED


def digests(tmp_path: Path, now: Callable[[], int] = later) -> Digests:
    return Digests(Cache(tmp_path / "cache"), now)


def poison(tmp_path: Path, file: Path) -> Digests:
    """One whose cache says of the file as it is what is not so: where it reads, it tells."""
    first = digests(tmp_path)
    first.of(str(file))
    stamp, _ = first._known[str(file)]
    first._known[str(file)] = stamp, "kept"
    first.save()
    return digests(tmp_path)


def test_what_is_kept_is_not_read_again(tmp_path: Path, file: Path) -> None:
    assert digests(tmp_path).of(str(file)) == sha256(b"one")
    assert poison(tmp_path, file).of(str(file)) == "kept"


@pytest.mark.parametrize("how", ["in place", "replaced", "with the old time"])
def test_a_change_is_seen(tmp_path: Path, file: Path, how: str) -> None:
    again = poison(tmp_path, file)
    before = file.stat()
    if how == "replaced":
        other = file.with_name("other")
        other.write_bytes(b"two")
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(file)
    else:
        while file.stat().st_ctime_ns == before.st_ctime_ns:  # until the kernel's clock has ticked
            file.write_bytes(b"two")
    if how == "with the old time":
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert again.of(str(file)) == sha256(b"two")


def test_what_was_changed_just_now_is_not_kept(tmp_path: Path, file: Path) -> None:
    now = file.stat().st_ctime_ns
    first = digests(tmp_path, lambda: now + SETTLED // 2)
    first.of(str(file))
    first.save()
    assert digests(tmp_path)._kept == {}


def test_others_stay_known(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    for path in (file, other):
        one = digests(tmp_path)
        one.of(str(path))
        one.save()
    assert set(digests(tmp_path)._kept) == {str(file), str(other)}


def test_a_damaged_cache_is_as_good_as_none(tmp_path: Path, file: Path) -> None:
    poison(tmp_path, file)
    for kept in (tmp_path / "cache").iterdir():
        kept.write_bytes(kept.read_bytes()[:-1])
    assert digests(tmp_path).of(str(file)) == sha256(b"one")


def test_whether_files_are_what_they_were(tmp_path: Path, file: Path) -> None:
    one = digests(tmp_path)
    one.of(str(file))
    states = one.states([str(file)])
    assert unchanged(states)
    file.write_bytes(b"longer")
    assert not unchanged(states)
    file.unlink()
    assert not unchanged(states)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digests(tmp_path).of(str(tmp_path / "none"))


def test_what_many_cases_share_is_looked_at_now_and_then(tmp_path: Path) -> None:
    file = tmp_path / "library"
    file.write_text("a")
    digests = Digests(Cache(tmp_path / "cache"))
    digests.of(str(file))
    now = 100.0
    shared = SharedFiles(digests.states([str(file)]), lambda: now)
    assert shared.hold()
    file.write_text("bc")
    now += LOOK_EVERY / 2
    assert shared.hold()
    now += LOOK_EVERY / 2
    assert not shared.hold()
    now += LOOK_EVERY / 2
    assert not shared.hold()  # nor ever again: cases have run with something else
