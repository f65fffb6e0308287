import asyncio
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.vm.console import CHUNK, BoundedLog, OutputReader, Tail

MARK = "<{}>"


def logged(path: Path, limit: int, chunks: list[bytes]) -> bytes:
    log = BoundedLog(path, limit, MARK)
    for chunk in chunks:
        log.write(chunk)
    log.close()
    return path.read_bytes()


@given(
    limit=st.integers(1, 40), chunks=st.lists(st.binary(max_size=50), max_size=12), name=st.uuids()
)
def test_head_and_tail_are_kept(
    tmp_path_factory: pytest.TempPathFactory, limit: int, chunks: list[bytes], name: object
) -> None:
    data = b"".join(chunks)
    folder = tmp_path_factory.mktemp("log")
    written = logged(folder / "log", limit, chunks)
    tail = max(limit // 2, 1)
    head = limit - limit // 2
    if len(data) <= head + tail:
        assert written == data
    else:
        cut = len(data) - head - tail
        assert written == data[:head] + MARK.format(cut).encode() + data[-tail:]
    assert [path.name for path in folder.iterdir()] == ["log"]


def test_what_was_written_is_on_disk_as_it_happens(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = BoundedLog(path, 20)
    for number in range(10):
        log.write(b"%05d" % number)
        # Nothing is closed: this is what a killed orchestrator leaves behind.
        pieces = [path, tmp_path / "log.tail.old", tmp_path / "log.tail"]
        found = b"".join(piece.read_bytes() for piece in pieces if piece.exists())
        assert found.startswith(b"00000")
        assert found.endswith(b"%05d" % number)
        assert sum(piece.stat().st_size for piece in tmp_path.iterdir()) <= 30
    log.close()
    log.close()  # harmless


def test_the_cut_is_marked(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "log", 10)
    log.write(b"x" * 1000)
    log.close()
    expected = b"xxxxx\n[matrix: 990 bytes of output cut here]\nxxxxx"
    assert (tmp_path / "log").read_bytes() == expected


def test_logs_are_private_and_never_overwritten(tmp_path: Path) -> None:
    BoundedLog(tmp_path / "log", 10).close()
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        BoundedLog(tmp_path / "log", 10)


@pytest.fixture
def file_size_limit() -> Iterator[Callable[[int], None]]:
    """Sets what a file may grow to; Python turns the signal off, writes fail with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_host_that_cannot_store_more_is_named(
    tmp_path: Path, file_size_limit: Callable[[int], None]
) -> None:
    log = BoundedLog(tmp_path / "log", 1 << 20)
    file_size_limit(100)
    with pytest.raises(OSError, match="File too large") as caught:
        log.write(b"x" * 1000)
    assert caught.value.filename == str(tmp_path / "log")
    log.close()
    assert (tmp_path / "log").stat().st_size == 100


def test_a_log_on_a_full_disk_can_be_closed(
    tmp_path: Path, file_size_limit: Callable[[int], None]
) -> None:
    log = BoundedLog(tmp_path / "log", 100)
    log.write(b"x" * 170)
    file_size_limit(60)
    with pytest.raises(OSError, match="File too large"):
        log.close()
    log.close()


def test_tail_keeps_the_latest() -> None:
    tail = Tail(10)
    for number in range(1000):
        tail.write(b"%d\n" % number)
    assert tail.lines()[-2:] == ("998", "999")
    assert len(tail.text()) == 10
    tail.write(b"y" * 50)
    assert tail.text() == "y" * 10


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", ""),
        (b"\n \r\n", ""),
        (b"one\r\ntwo\r\n\r\n", "two"),
        (b"one\n\rtwo", "two"),
        (b"a\tb\x1b[0m\xff\n", "a b\ufffd[0m\ufffd"),
        ("Größe".encode(), "Größe"),
    ],
)
def test_last_line(data: bytes, line: str) -> None:
    tail = Tail()
    tail.write(data)
    assert tail.last_line() == line


@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_make_printable_text(chunks: list[bytes]) -> None:
    tail = Tail(20)
    for chunk in chunks:
        tail.write(chunk)
    assert all(c == "\n" or c.isprintable() for c in tail.text())


def read_from(feed: Callable[[int], None], sink: Callable[[bytes], None]) -> list[Exception]:
    """Feed a pipe that a reader reads until it ends, and return what failed."""
    failed: list[Exception] = []

    async def body() -> None:
        ours, theirs = os.pipe()
        reader = OutputReader(ours, sink, failed.append)
        await asyncio.to_thread(feed, theirs)
        await asyncio.sleep(0)
        reader.drain()
        reader.close()

    asyncio.run(body())
    return failed


def test_everything_arrives() -> None:
    got = bytearray()

    def feed(descriptor: int) -> None:
        for _ in range(20):
            os.write(descriptor, b"x" * 50_000)
        os.close(descriptor)

    assert read_from(feed, got.extend) == []
    assert len(got) == 1_000_000


def write_on(descriptor: int) -> None:
    """Until that fails, or for a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        os.write(descriptor, b"x")
        time.sleep(0.01)


def test_a_sink_that_fails_is_reported_once() -> None:
    error = OSError(28, "No space left on device")

    def sink(data: bytes) -> None:
        raise error

    def feed(descriptor: int) -> None:
        os.write(descriptor, b"x" * 10)
        with pytest.raises(BrokenPipeError):
            write_on(descriptor)
        os.close(descriptor)

    assert read_from(feed, sink) == [error]


def test_a_flood_does_not_starve_the_loop() -> None:
    """While a pipe is always full, every turn of the loop takes in one chunk at most."""

    async def body() -> None:
        ours, theirs = os.pipe()
        got = 0

        def sink(data: bytes) -> None:
            nonlocal got
            got += len(data)

        failed: list[Exception] = []
        reader = OutputReader(ours, sink, failed.append)
        over = False

        def flood() -> None:
            while not over:
                os.write(theirs, bytes(1 << 16))

        flooding = asyncio.ensure_future(asyncio.to_thread(flood))
        turns: list[int] = []
        while got <= 1 << 22:
            before = got
            await asyncio.sleep(0)
            turns.append(got - before)
        over = True
        await flooding
        reader.close()
        os.close(theirs)
        assert failed == []
        assert max(turns) <= CHUNK

    asyncio.run(body())
