"""``events.jsonl``: the append-only journal from which a killed run goes on.

One JSON object per line, each with its ``event`` and the ``time`` (UTC, ISO 8601):

=====================  ==================================================================
``run-started``        the first line
``attempt-started``    ``case``, ``attempt`` (number from 1)
``attempt-finished``   ``case``, ``attempt`` (a whole :class:`matrix.attempt.Attempt`)
``attempt-moved``      ``case``, ``attempt`` (number), ``host``, ``reason``: trouble of its host
                       ended it, and it is started on another one
``host-lost``          ``host``, ``reason``: it gets no more cases of the run
``host-back``          ``host``: it gets cases again
``worker-lost``        ``reason``: a local worker is gone, and its attempts are started again
``run-interrupted``    the user ended the run; ``unfinished``: how many attempts remain
``run-resumed``        another process goes on
``run-finished``       nothing remains; ``exit_code``
=====================  ==================================================================

Readers ignore events that they do not know.

A line is handed to the kernel by one ``write`` before :meth:`Journal.append` returns, so a crash
or SIGKILL of this process loses nothing that was appended. The disk is waited for (``fsync``)
only at the end of a run: per case it would cost some 10 ms of every slot, and what a power loss
may take, the last seconds, is found missing and run again by ``--resume``.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from errno import ENOLCK, ENOSYS, EOPNOTSUPP
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from pydantic_core import ValidationError, from_json
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from matrix.attempt import Attempt
from matrix.errors import Place, Problem, UsageError
from matrix.results.files import host_errors, open_regular, shown
from matrix.results.json_text import first_complaint, json_bytes
from matrix.results.printable import printable
from matrix.results.run_info import utc_now

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LONGEST_LINE = 64 * 2**20
"""Bytes; what is longer is not read as an event. A subtest takes about 100, so a line of one
attempt stays far below."""

LARGEST_JOURNAL = 2**36
"""Bytes; a soak of a week writes some 2**31. A larger file is none of ours."""


class EventName(StrEnum):
    """The events of the module's description."""

    RUN_STARTED = "run-started"
    ATTEMPT_STARTED = "attempt-started"
    ATTEMPT_FINISHED = "attempt-finished"
    ATTEMPT_MOVED = "attempt-moved"
    HOST_LOST = "host-lost"
    HOST_BACK = "host-back"
    WORKER_LOST = "worker-lost"
    RUN_INTERRUPTED = "run-interrupted"
    RUN_RESUMED = "run-resumed"
    RUN_FINISHED = "run-finished"


@dataclass(frozen=True, slots=True)
class Span:
    """Where a line lies in the journal: bytes, without its line break."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal."""

    event: dict[str, Any]
    """Only ever read."""
    span: Span
    line: int
    """From 1."""


class Journal:
    """The journal of a run, open for appending by this process alone.

    A context manager; :meth:`close` lets go of the lock.
    """

    def __init__(self, path: Path, now: Callable[[], str] = utc_now) -> None:
        """Open or create the journal.

        A last line that a killed process left incomplete is ended with a line break, so that
        what is appended stands on lines of its own.

        Args:
            path: ``events.jsonl``.
            now: gives the time of an event.

        Raises:
            UsageError: another process has it open.
            HostError: it cannot be opened.
        """
        self.path = path
        self._now = now
        with host_errors("open", path):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o666)
        try:
            self._lock()
            with host_errors("write", path):
                self._end = os.lseek(self._descriptor, 0, os.SEEK_END)
                if self._end and os.pread(self._descriptor, 1, self._end - 1) != b"\n":
                    self._write(b"\n")
        except BaseException:  # no descriptor stays; raised again
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, event: Mapping[str, object]) -> Span:
        """Add one event; it has reached the kernel when this returns.

        Args:
            event: with its name under ``event``; dataclasses and enums may be in it. The time is
                added.

        Returns:
            Where it lies, for :class:`JournalReader`.

        Raises:
            HostError: it cannot be written; the journal is as it was before.
        """
        line = json_bytes({"event": event["event"], "time": self._now(), **event})
        span = Span(self._end, len(line))
        with host_errors("write", self.path):
            self._write(line + b"\n")
        return span

    def sync(self) -> None:
        """Wait until everything is on the disk.

        Raises:
            HostError: the disk failed.
        """
        with host_errors("write", self.path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file and let go of the lock; once is enough, twice is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _lock(self) -> None:
        """Keep two processes from running the same cases; ends with the process, however it ends.

        A file system without locks (some network ones) leaves that to the user.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{shown(self.path.parent)} is being run by another process: "
                "wait for it to end, or interrupt it"
            ) from error
        except OSError as error:
            if error.errno not in (ENOLCK, ENOSYS, EOPNOTSUPP):
                with host_errors("lock", self.path):
                    raise

    def _write(self, data: bytes) -> None:
        """Write all of ``data``, or leave the file as it was (as far as the disk allows)."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            with suppress(OSError):  # the first failure is told
                os.ftruncate(self._descriptor, self._end)
            raise
        self._end += len(data)


def replay(path: Path, report: Callable[[Problem], object] = lambda _: None) -> Iterator[Entry]:
    """Every event of a journal, in order.

    Args:
        path: ``events.jsonl``; none is the same as an empty one (the run was killed before it
            began).
        report: told of every line that is no event. An incomplete last line is none such: it is
            what a kill leaves.

    Raises:
        UsageError: it is no regular file, or far too large.
        HostError: it cannot be read.
    """
    if not os.path.lexists(path):
        return
    with open_regular(path) as file, host_errors("read", path):
        if os.fstat(file.fileno()).st_size > LARGEST_JOURNAL:
            raise UsageError(f"{shown(path)} is too large for a journal of a run")
        offset = 0
        for number, line in enumerate(_lines(file), start=1):
            span = Span(offset, len(line.rstrip(b"\n")))
            offset += len(line)
            event, why = _parsed(line)
            if event is not None:
                yield Entry(event, span, number)
            elif line.endswith(b"\n"):
                report(Problem(Place(shown(path), number), why, "the line is ignored"))


class JournalReader:
    """Reads single events of a journal again, so that they need not be kept in memory.

    A context manager. Raises HostError where the file cannot be opened or read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open_regular(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def attempt(self, span: Span) -> Attempt:
        """The attempt that was finished there.

        Raises:
            UsageError: there is none: the file was changed by someone else meanwhile.
            HostError: it cannot be read.
        """
        with host_errors("read", self._path):
            data = os.pread(self._file.fileno(), span.length, span.offset)
        try:
            return _finished().validate_json(data)["attempt"]
        except ValidationError as error:
            why = first_complaint(error)
            raise UsageError(f"{shown(self._path)} was changed while it was read: {why}") from error


class _Finished(TypedDict):
    """What nearly every line is: read in one step, without a dictionary of all that is in it."""

    event: str
    time: str
    case: str
    attempt: Attempt


_BEGIN = json_bytes({"event": EventName.ATTEMPT_FINISHED})[:-1]


@cache
def _finished() -> "TypeAdapter[_Finished]":
    from pydantic import TypeAdapter  # 50 ms, which only readers need

    return TypeAdapter(_Finished)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their breaks. Of a line that is too long only its first part comes, and its end
    as another line; neither is JSON by itself."""
    while line := file.readline(LONGEST_LINE):
        yield line


def _parsed(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The event of a line, or why there is none."""
    if line.startswith(_BEGIN):
        with suppress(ValidationError):  # said below
            return {**_finished().validate_json(line)}, ""
    try:
        event = from_json(line)
    except ValueError as error:
        return None, f"not JSON: {printable(str(error))}"
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None, "not an event: an object with the key 'event' is expected"
    return event, ""
