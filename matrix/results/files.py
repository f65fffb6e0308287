"""Files of a run directory: written whole or not at all, read within bounds.

Everything that goes wrong while writing is a HostError that names the file: a full disk is the
host's failure, and what had been written before stays as it was.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from matrix.errors import HostError, UsageError
from matrix.results.printable import printable


@contextmanager
def host_errors(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError inside into ``HostError("cannot DOING PATH: why")``.

    Raises:
        HostError: instead of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise _failed(doing, path, error) from error


def _failed(doing: str, path: Path, error: OSError) -> HostError:
    return HostError(f"cannot {doing} {shown(path)}: {error.strerror or error}")


_PARTIAL = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW


def shown(path: Path) -> str:
    """A path as it may appear in a message, whatever bytes its name holds."""
    return printable(os.fspath(path))


@contextmanager
def written_atomically(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write to that takes the name ``path`` only once it is complete.

    A crash, an exception or a full disk leaves the former file, or none. The unfinished one is
    ``.NAME.part`` in the same folder; one that a killed process left is written over.

    Args:
        path: the file to write; a former file of that name is replaced.
        durable: wait until the data is on the disk before the renaming, so that a power loss
            cannot leave an empty file under the final name. A few ms: for the few files of a run,
            not for those of each case.

    Raises:
        HostError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.part")
    with host_errors("write", path):
        try:
            with os.fdopen(os.open(partial, _PARTIAL, 0o666), "wb") as file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:  # a cancellation too: no half a file stays
            with suppress(OSError):  # the first failure is told
                partial.unlink()
            raise


@contextmanager
def written_as_told(path: Path) -> Iterator[BinaryIO]:
    """As :func:`written_atomically`, for a file that the user names and that need not be one.

    A device or a pipe (``/dev/stdout``, ``>(gzip)``) is written to: taking its name, as root may,
    would put a file in its place. A symbolic link stays, and what it leads to is written.

    Raises:
        HostError: it cannot be written.
    """
    with host_errors("write", path):
        target = path.resolve() if path.is_symlink() else path
        plain = target.is_file() or not target.exists()
        if not plain:
            with target.open("wb") as file:
                yield file
    if plain:
        with written_atomically(target) as file:
            yield file


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file atomically.

    Raises:
        HostError: the file cannot be written.
    """
    folder, slash, name = os.fspath(path).rpartition("/")  # as below: a Path takes ten times that
    partial = f"{folder}{slash}.{name}.part"
    try:
        descriptor = os.open(partial, _PARTIAL, 0o666)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
        os.replace(partial, path)  # noqa: PTH105 - once for each case
    except BaseException as error:  # no half a file stays; raised again
        with suppress(OSError):  # the first failure is told
            os.unlink(partial)  # noqa: PTH108 - as above
        if isinstance(error, OSError):
            raise _failed("write", path, error) from error
        raise


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file of a run directory, which may be a stranger's, for reading.

    Neither a symbolic link (it could lead out of the directory) nor a pipe (reading would never
    end) nor a device is opened.

    Raises:
        UsageError: there is no such file, or it is not a regular one.
        HostError: the file cannot be opened.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with host_errors("read", path):
        try:
            descriptor = os.open(path, flags)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UsageError(f"{shown(path)}: no such file") from error
        except OSError as error:
            if error.errno == errno.ELOOP and path.is_symlink():
                what = "is a symbolic link, not a file of a run directory"
                raise UsageError(f"{shown(path)} {what}") from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UsageError(f"{shown(path)} is not a regular file")
        return os.fdopen(descriptor, "rb")


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes.

    Raises:
        UsageError: there is no such regular file, or it is larger.
        HostError: the file cannot be read.
    """
    with open_regular(path) as file, host_errors("read", path):
        data = file.read(limit + 1)
    if len(data) > limit:
        raise UsageError(f"{shown(path)} is larger than {limit} bytes: no file of a run directory")
    return data


def read_tail(path: Path, limit: int) -> bytes:
    """The last ``limit`` bytes of a regular file, from the start of a line; empty without one."""
    try:
        file = open_regular(path)
    except (UsageError, HostError):
        return b""
    with file, suppress(OSError):  # none is shown then, as of no file
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - limit))
        data = file.read(limit)
        if size > limit:
            data = data.partition(b"\n")[2] or data
        return data
    return b""
