"""What comes out of QEMU: pipes read by the event loop, logs of bounded size on disk.

A guest may write for hours, at any rate and whatever bytes it likes. Nothing here grows with that:
neither memory (:class:`Tail`) nor the disk (:class:`BoundedLog`), and one read per turn of the
event loop (:class:`OutputReader`) keeps a flood from starving the other guests; a guest that writes
faster than we read waits on its full pipe.
"""

import asyncio
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

GATHER = 0.01
"""Seconds; the last line on a terminal is looked at four times a second."""
TRICKLE = 4096
"""Bytes of a chunk that count as a trickle: a pipe holds 64 KiB."""
CHUNK = 1 << 16
"""Bytes per read: what a pipe holds (pipe(7))."""
COPY_CHUNK = 1 << 20
TAIL_BYTES = 16 << 10
"""Bytes of the latest output kept in memory."""
CUT_MARK = "\n[matrix: {} bytes of output cut here]\n"


class Tail:
    """The latest bytes of a stream, in memory."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._bytes = bytearray()

    def write(self, data: bytes) -> None:
        """Append ``data``, forgetting what is too old."""
        if len(data) >= self._limit:
            self._bytes[:] = data[-self._limit :]
            return
        self._bytes += data
        # Trimming only at twice the limit makes the cost per byte constant for tiny writes.
        if len(self._bytes) > 2 * self._limit:
            del self._bytes[: -self._limit]

    def text(self) -> str:
        """What is kept, decoded, with control characters other than line ends made visible."""
        text = bytes(self._bytes[-self._limit :]).decode("utf-8", "replace")
        text = text.replace("\r", "\n").replace("\t", " ")
        return "".join(c if c == "\n" or c.isprintable() else "\ufffd" for c in text)

    def lines(self) -> tuple[str, ...]:
        """The lines that are not blank, oldest first; the first one may be cut."""
        return tuple(line.rstrip() for line in self.text().split("\n") if line.strip())

    def last_line(self) -> str:
        """The last line that is not blank, or empty."""
        lines = self.lines()
        return lines[-1] if lines else ""


class BoundedLog:
    """A file that keeps the head and the tail of what is written, and says what was cut between.

    The head goes straight into ``path``. What comes after goes into ``path.tail``, which becomes
    ``path.tail.old`` whenever it has reached the size of the tail, so that at any moment, also if
    we are killed, the first and the latest bytes are on disk in readable order. :meth:`close` joins
    the pieces and leaves only ``path``, of at most ``limit`` bytes and the line that marks the cut
    (``mark``, with the number of bytes for ``{}``).

    A file that exists is never overwritten. Every method raises OSError with the file's name when
    the host cannot store more.
    """

    def __init__(self, path: Path, limit: int, mark: str = CUT_MARK) -> None:
        self.path = path
        self._mark = mark
        self._head_room = limit - limit // 2
        self._tail_limit = max(limit // 2, 1)
        self._tail_size = 0
        self._rotated = 0
        """Bytes that went through the tail file before its last rotation."""
        self._tail: int | None = None
        self._head = _create(path)

    @cached_property
    def _tail_path(self) -> Path:
        return self.path.with_name(self.path.name + ".tail")

    @cached_property
    def _old_path(self) -> Path:
        return self.path.with_name(self.path.name + ".tail.old")

    def write(self, data: bytes) -> None:
        """Append ``data``.

        Raises:
            OSError: the host cannot store it (no space, file size limit, I/O error).
        """
        if self._head_room:
            head = data[: self._head_room]
            write_all(self._head, head, self.path)
            self._head_room -= len(head)
            data = data[len(head) :]
        while data:
            if self._tail is None:
                self._tail = _create(self._tail_path)
            part = data[: self._tail_limit - self._tail_size]
            write_all(self._tail, part, self._tail_path)
            self._tail_size += len(part)
            data = data[len(part) :]
            if self._tail_size == self._tail_limit:
                self._rotate()

    def close(self) -> None:
        """Join head and tail into one file; idempotent.

        Raises:
            OSError: as :meth:`write`; the pieces are left where they are.
        """
        if self._head < 0:
            return
        try:
            if self._tail is not None or self._rotated:
                self._join()
        finally:
            for descriptor in (self._head, self._tail):
                if descriptor is not None:
                    os.close(descriptor)
            self._head, self._tail = -1, None

    def _rotate(self) -> None:
        if self._tail is not None:
            os.close(self._tail)
        self._tail_path.rename(self._old_path)
        self._rotated += self._tail_size
        self._tail, self._tail_size = None, 0

    def _join(self) -> None:
        from_old = min(self._rotated, self._tail_limit - self._tail_size)
        cut = self._rotated - from_old
        if cut:
            write_all(self._head, self._mark.format(cut).encode(), self.path)
        if from_old:
            self._append(self._old_path, skip=self._tail_limit - from_old)
        if self._tail is not None:
            self._append(self._tail_path, skip=0)
        self._old_path.unlink(missing_ok=True)
        self._tail_path.unlink(missing_ok=True)

    def _append(self, source: Path, skip: int) -> None:
        with source.open("rb") as file:
            file.seek(skip)
            while chunk := file.read(COPY_CHUNK):
                write_all(self._head, chunk, self.path)


def _raised(error: Exception) -> None:
    raise error


class OutputReader:
    """Reads a pipe in the event loop and hands on what comes, one chunk per turn.

    Guests print character by character: what trickles is let gather for :data:`GATHER` in the pipe,
    or every character would wake us, and cost the guest that too. What gushes is read at once.

    ``sink`` gets every chunk. Where it raises, reading ends and ``failed`` gets the exception: the
    event loop has no caller to raise it to. The descriptor is the reader's to close.
    """

    @classmethod
    def of_pipe(
        cls, sink: Callable[[bytes], None], failed: Callable[[Exception], None] = _raised
    ) -> "tuple[OutputReader, int]":
        """A reader of a new pipe, and the end to write to, which is the caller's to close."""
        ours, theirs = os.pipe()
        return cls(ours, sink, failed), theirs

    def __init__(
        self,
        descriptor: int,
        sink: Callable[[bytes], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._descriptor = descriptor
        self._sink = sink
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._held = False
        os.set_blocking(descriptor, False)
        self._watch()

    def drain(self, limit: int = COPY_CHUNK) -> None:
        """Read what is in the pipe now, without waiting: the writer has ended.

        ``limit`` bytes at most, a full pipe by default: something else may still be writing to it.
        """
        while self._descriptor >= 0 and limit > 0:
            count = self._read()
            if not count:
                break
            limit -= count

    def hold(self) -> None:
        """Read nothing before :meth:`go_on` but what is drained: the writer waits on its pipe."""
        self._held = True
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)

    def go_on(self) -> None:
        """Read again."""
        self._held = False
        if self._descriptor >= 0 and self._pause is None:
            self._watch()

    def close(self) -> None:
        """Stop reading and close the pipe; idempotent."""
        if self._pause is not None:
            self._pause.cancel()
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _watch(self) -> None:
        self._pause = None
        if not self._held:
            self._loop.add_reader(self._descriptor, self._readable)

    def _readable(self) -> None:
        if 0 < self._read() < TRICKLE and self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._pause = self._loop.call_later(GATHER, self._watch)

    def _read(self) -> int:
        """Hand on one chunk and return its size; 0 where there is none."""
        try:
            data = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return 0
        if not data:
            self.close()
            return 0
        try:
            self._sink(data)
        except Exception as error:  # noqa: BLE001 - passed on, to be raised where there is a caller
            self.close()
            self._failed(error)
        return len(data)


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def write_all(descriptor: int, data: bytes, path: Path) -> None:
    """Write all of ``data`` to a file that is open; an OSError names its ``path``."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except OSError as error:
            error.filename = str(path)
            raise
