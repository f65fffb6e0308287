"""Standard input, output and error as the program finds them, so that no trouble of theirs ends it.

The caller may have closed them, filled the disk that they lead to, gone away (``| head``), made
them non-blocking, or chosen an encoding that lacks a character. What is shown is then replaced or
dropped; only the exit code of a command whose output is its product tells of it.
"""

import codecs
import io
import os
import select
import sys
from collections.abc import Mapping
from contextlib import suppress

from matrix.results.printable import CommandSpeller, in_ci

ERRORS = "matrix.plain"
"""The error handler's name, for :func:`codecs.lookup_error`."""

PLAIN = str.maketrans(
    {"…": "...", "→": "->", "×": "x", "±": "+-", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"'}
    | dict(zip("▁▂▃▄▅▆▇█", "__--==##", strict=True))
)
"""What stands for the program's own signs in an encoding that has not got them."""


class TolerantFile(io.RawIOBase):
    """A descriptor for writing that swallows what cannot be written, and waits where it is full.

    Args:
        descriptor: stays open.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.failure: OSError | None = None
        """The first error; nothing is written after it."""

    def writable(self) -> bool:
        """Always; see :class:`io.RawIOBase`, as of the others."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: "memoryview | bytes") -> int:  # type: ignore[override]  # what buffers give
        """Write all of it, or nothing more for ever; gives its length in any case."""
        rest = memoryview(data).cast("B")
        length = len(rest)
        while rest and self.failure is None:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another process has made the pipe or the terminal so
                _wait_writable(self._descriptor)
            except OSError as error:
                self.failure = error
        return length


class ShownText(io.TextIOWrapper):
    """Text for people: no command of a CI system, and no character that its encoding lacks."""

    def __init__(self, file: TolerantFile, encoding: str, *, ci: bool, live: bool) -> None:
        buffer = io.BufferedWriter(file)  # type: ignore[type-var]  # any raw file will do
        super().__init__(buffer, encoding, ERRORS, line_buffering=live)
        self._speller = CommandSpeller() if ci else None

    def write(self, text: str) -> int:
        """Write it, as it may be shown."""
        super().write(self._speller(text) if self._speller is not None else text)
        return len(text)


class Streams:
    """What became of the program's standard streams."""

    def __init__(self, output: TolerantFile | None) -> None:
        self._output = output

    def lost(self) -> str:
        """Why what was said on standard output did not arrive; empty where it did, or where its
        reader has gone or was never there, who wants no more of it."""
        with suppress(OSError, ValueError):  # closed by somebody: nothing is left to flush
            sys.stdout.flush()
        failure = self._output.failure if self._output is not None else None
        if failure is None or isinstance(failure, BrokenPipeError):
            return ""
        return failure.strerror or str(failure)


def take_streams(environment: Mapping[str, str] = os.environ) -> Streams:
    """Replace :data:`sys.stdout` and :data:`sys.stderr` by ones that never fail.

    Descriptors 0 to 2 that are closed lead to /dev/null from here on, before a file that is opened
    can become one of them. Streams that are no longer Python's own (a test's) stay as they are.
    """
    for descriptor in range(3):
        _fill(descriptor)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - for good
    ci = in_ci(environment)
    output = _taken("stdout", 1, ci=ci)
    _taken("stderr", 2, ci=ci)
    return Streams(output)


def _taken(name: str, descriptor: int, *, ci: bool) -> TolerantFile | None:
    old = getattr(sys, name)
    if old is not getattr(sys, f"__{name}__"):
        return None
    file = TolerantFile(descriptor)
    live = file.isatty() or name == "stderr"
    encoding = "utf-8"
    if old is not None:
        encoding = old.encoding
        with suppress(OSError):  # nothing was written yet
            old.flush()
    setattr(sys, name, ShownText(file, encoding, ci=ci, live=live))
    return file


def _fill(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)


def _wait_writable(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands for characters that an encoding has not got, or that are no characters."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    spelt = text.encode("ascii", "backslashreplace").decode("ascii")
    return spelt, error.end


codecs.register_error(ERRORS, _plain)
