import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.errors import HostError, UsageError
from matrix.results.files import (
    read_bounded,
    read_tail,
    write_bytes,
    written_as_told,
    written_atomically,
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with written_atomically(path, durable=True) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["results.json"]


def test_an_exception_keeps_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_bytes(path, b"old")
    with pytest.raises(TypeError), written_atomically(path) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]  # fails after the first
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["results.json"]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".results.json.part").write_bytes(b"a longer half of something")
    write_bytes(tmp_path / "results.json", b"new")
    assert (tmp_path / "results.json").read_bytes() == b"new"
    assert names(tmp_path) == ["results.json"]


def test_a_file_too_large_for_the_host_keeps_the_former(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_bytes(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(HostError, match=r"cannot write .*results\.json: File too large"):
            write_bytes(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["results.json"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot write .*gone/x: No such file or directory"):
        write_bytes(tmp_path / "gone" / "x", b"")


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".result.json.part").symlink_to(victim)
    with pytest.raises(HostError):
        write_bytes(folder / "result.json", b"theirs")
    assert victim.read_text() == "mine"


def test_reads_within_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(UsageError, match=r"run\.json is larger than 4 bytes"):
        read_bounded(path, 4)


def test_a_sparse_giant_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UsageError, match="larger than"):
        read_bounded(path, 2**20)


@pytest.mark.parametrize("kind", ["missing", "link", "pipe", "folder", "device"])
def test_only_regular_files_are_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    with pytest.raises(UsageError, match=r"no such file|symbolic link|not a regular file"):
        read_bounded(path, 100)
    assert read_tail(path, 100) == b""


def test_a_tail_begins_at_a_line(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(b"first\nsecond\nthird\n")
    assert read_tail(path, 100) == b"first\nsecond\nthird\n"
    assert read_tail(path, 10) == b"third\n"
    path.write_bytes(b"x" * 50)
    assert read_tail(path, 10) == b"x" * 10


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Root reads everything, so be nobody for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


@pytest.mark.usefixtures("ordinary_user")
def test_an_unreadable_file_names_the_reason() -> None:
    with pytest.raises(HostError, match="cannot read /proc/1/mem: Permission denied"):
        read_bounded(Path("/proc/1/mem"), 100)


def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for name in (pipe, link):
        with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:  # noqa: PTH123 - no path
            with written_as_told(name) as file:
                file.write(b"page")
            assert reader.read() == b"page"
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_a_link_to_a_file_stays_one(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "page"
    link.symlink_to(file)
    for content in (b"one", b"two"):
        with written_as_told(link) as out:
            out.write(content)
        assert (link.is_symlink(), file.read_bytes()) == (True, content)
