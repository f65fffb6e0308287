"""Answers of QEMU kept on disk, so that a second look at the host costs milliseconds.

One small file per answer, written whole and renamed into place, so that concurrent runs and kills
leave either the old one or the new one. A file that is damaged, of another format or of another
version of this program is as good as none; a folder that cannot be written costs time, no more.
"""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from matrix import __version__

FORMAT = 3
"""Counted up whenever what is stored changes its meaning."""

ENVIRONMENT_VARIABLE = "MATRIX_CACHE"

Value = TypeVar("Value")

log = logging.getLogger(__name__)


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Where answers are kept: below ``$MATRIX_CACHE``, else below the user's cache folder."""
    named = environment.get(ENVIRONMENT_VARIABLE, "")
    base = Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("matrix"))
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

    def read(self, name: str, key: str, decode: Callable[[Any], Value]) -> Value | None:
        """What was stored under ``name`` for ``key``; None where there is nothing usable.

        Args:
            name: what the value is about.
            key: what the value depends on; another than it was written for gives None.
            decode: makes the value of its JSON; may raise what indexing and converting raise.
        """
        try:
            header, _, payload = self._path(name).read_bytes().partition(b"\n")
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
            self._replace(self._path(name), content)
        except OSError as error:
            self._writable = False
            log.warning("cannot keep what QEMU said in %s: %s", self.directory, error.strerror)

    def _replace(self, path: Path, content: bytes) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.directory, prefix=".writing-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(temporary).replace(path)
        except BaseException:  # a cancellation too: no half a file stays
            Path(temporary).unlink(missing_ok=True)
            raise

    def _path(self, name: str) -> Path:
        return self.directory / f"{_digest(name.encode())[:32]}.json"

    def _header(self, name: str, key: str, payload: bytes) -> bytes:
        # Not synced to the disk: after a power cut the checksum tells a torn file.
        key_digest = _digest(f"{name}\n{key}".encode())
        return f"{FORMAT} {self._version} {key_digest} {_digest(payload)}".encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
