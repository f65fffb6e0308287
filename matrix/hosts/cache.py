"""Answers of QEMU kept on disk, so that a second look at the host costs milliseconds.

One small file per answer, written whole and renamed into place, so that concurrent runs and kills
leave either the old one or the new one. A file that is damaged, of another format or of another
version of this program is as good as none; a folder that cannot be written costs time, no more.
So does one that others could put files into or exchange: it is checked once, and what is in it is
reached through the handle that was checked.
"""

import hashlib
import json
import logging
import os
import stat
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from matrix import __version__
from matrix.places import cache_folder, expanded

FORMAT = 4
"""Counted up whenever what is stored changes its meaning."""

ENVIRONMENT_VARIABLE = "MATRIX_CACHE"

Value = TypeVar("Value")

log = logging.getLogger(__name__)


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Where answers are kept: below ``$MATRIX_CACHE``, else below the user's cache folder."""
    named = environment.get(ENVIRONMENT_VARIABLE, "")
    base = expanded(named) if named else cache_folder()
    return base / "inventory"


class Cache:
    """A folder of JSON values, each found by a name and valid for one key.

    Args:
        directory: the folder; made when first written to.
        version: of this program; another version's answers do not count.
    """

    def __init__(self, directory: Path, version: str = __version__) -> None:
        self.directory = directory
        self._version = version
        self._writable = True
        self._handle: int | None = None

    def read(self, name: str, key: str, decode: Callable[[Any], Value]) -> Value | None:
        """What was stored under ``name`` for ``key``; None where there is nothing usable.

        Args:
            name: what the value is about.
            key: what the value depends on; another than it was written for gives None.
            decode: makes the value of its JSON; may raise what indexing and converting raise.
        """
        try:
            header, _, payload = self._content(_file_name(name)).partition(b"\n")
            if header != self._header(name, key, payload):
                return None
            return decode(json.loads(payload))
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            # The checksum held, so what decode() dislikes was written by other code.
            return None

    def write(self, name: str, key: str, value: Any) -> None:
        """Store a JSON value; a folder that cannot be written is told once, as a warning."""
        if not self._writable:
            return
        payload = json.dumps(value, separators=(",", ":")).encode()
        content = self._header(name, key, payload) + b"\n" + payload
        try:
            self._replace(_file_name(name), content)
        except OSError as error:
            self._writable = False
            log.warning("nothing can be kept in %s: %s", self.directory, error.strerror or error)

    def open_lock(self, name: str) -> int | None:
        """The descriptor of a file to lock while ``name`` is found out; None where nothing can be
        kept."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            _make(self.directory)
            return os.open(f"{_file_name(name)}.lock", flags, 0o600, dir_fd=self._folder())
        except OSError:
            return None  # write() tells why, once there is something to keep

    def _content(self, name: str) -> bytes:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self._folder())
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                raise PermissionError("it is not a file of ours")
            return file.read()

    def _replace(self, name: str, content: bytes) -> None:
        _make(self.directory)
        folder = self._folder()
        temporary = f".writing-{os.urandom(8).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:  # a cancellation too: no half a file stays
            os.unlink(temporary, dir_fd=folder)
            raise

    def _folder(self) -> int:
        """The folder's handle, which is closed with this object.

        Raises:
            OSError: it cannot be opened, or others could change what is in it.
        """
        if self._handle is None:
            self._handle = _open_ours(self.directory)
            weakref.finalize(self, os.close, self._handle)
        return self._handle

    def _header(self, name: str, key: str, payload: bytes) -> bytes:
        # Not synced to the disk: after a power cut the checksum tells a torn file.
        key_digest = _digest(f"{name}\n{key}".encode())
        return f"{FORMAT} {self._version} {key_digest} {_digest(payload)}".encode()


def _file_name(name: str) -> str:
    return f"{_digest(name.encode())[:32]}.json"


def _make(folder: Path) -> None:
    """Make a folder and those that it is in, for us alone, whatever the umask."""
    if not os.path.lexists(folder):
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _open_ours(folder: Path) -> int:
    """A handle of a folder of ours, and no link, that only we can write to or exchange.

    Raises:
        OSError: it is none.
    """
    parent = Path(os.path.realpath(folder.parent))
    # From the root on: what is checked of one folder holds for the name of the next one in it.
    for each in (*reversed(parent.parents), parent):
        status = each.lstat()
        for_all = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, os.geteuid()) or for_all:
            raise PermissionError(f"others can change {each}")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(parent / folder.name, flags)
    status = os.fstat(handle)
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        os.close(handle)
        raise PermissionError(f"others can change {folder}")
    return handle


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
