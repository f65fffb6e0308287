"""Reading a suite's files: every way in which that can fail becomes a SuiteError with its place."""

from codecs import BOM_UTF8
from pathlib import Path

from matrix.errors import Place, Problem, SuiteError

MAXIMUM_SIZE = 4 << 20
"""Bytes; a file of a suite that is larger is not what its name says."""


def is_file(path: Path) -> bool:
    """Whether there is such a file; False also where that cannot be found out."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_directory(path: Path) -> bool:
    """Whether there is such a directory; False also where that cannot be found out."""
    try:
        return path.is_dir()
    except OSError:
        return False


def read_text(path: Path) -> str:
    """Text of a suite's file.

    Raises:
        SuiteError: it cannot be read, is not UTF-8, holds NUL bytes, or is over MAXIMUM_SIZE.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAXIMUM_SIZE + 1)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except ValueError as error:  # a NUL byte in the path
        raise _unreadable(path, str(error)) from error
    if len(data) > MAXIMUM_SIZE:
        raise _unreadable(path, f"it is larger than {MAXIMUM_SIZE >> 20} MiB")
    return decode(data, str(path))


def decode(data: bytes, file: str) -> str:
    """``data`` as text without a byte-order mark, which some editors put before it.

    Raises:
        SuiteError: a byte is no text; it names the line.
    """
    data = data.removeprefix(BOM_UTF8)
    position = data.find(b"\0")
    if position < 0:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            position = error.start
    line = data.count(b"\n", 0, position) + 1
    message = f"byte {data[position]:#04x} is not text"
    raise SuiteError([Problem(Place(file, line), message, "the file must be UTF-8 text")])


def _unreadable(path: Path, why: str) -> SuiteError:
    return SuiteError([Problem(Place(str(path)), f"cannot be read: {why}")])


def shortened(text: str) -> str:
    """A line of a file as a message quotes it."""
    text = text.strip()
    return text if len(text) <= 40 else f"{text[:40]}…"
