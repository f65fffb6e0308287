"""Data in a page that a browser unpacks when it is asked for: compressed JSON in base64.

Nothing that a guest wrote stands in the page as it is: base64 has no character that HTML or a
script could take for its own. ``DecompressionStream``, which unpacks it, is in every browser since
2023.
"""

import base64
import gzip
from dataclasses import dataclass

from matrix.results.json_text import json_bytes

CHUNK = 256 * 2**10
"""Bytes of JSON after which a chunk is closed: what one click unpacks, some ms."""

LEVEL = 6
"""Of gzip: a level of 9 takes twice the time for 2 % less."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where the details of a case are: the chunk, and the place in it."""

    chunk: int
    place: int


class Packer:
    """Gathers documents into chunks until a budget is used up, holding one chunk uncompressed."""

    def __init__(self, budget: int) -> None:
        self.chunks: list[str] = []
        self._left = budget
        """Characters that may still be added to the page."""
        self._open: list[bytes] = []
        self._open_size = 0

    def add(self, document: object, *, keep: int = 0) -> Where | None:
        """Take a document in; None where the budget is used up but for ``keep`` characters.

        What is not yet compressed counts half: consoles shrink to a fifth.
        """
        data = json_bytes(document, nonfinite="null")
        if self._left - keep < (self._open_size + len(data)) // 2:
            return None
        where = Where(len(self.chunks), len(self._open))
        self._open.append(data)
        self._open_size += len(data)
        if self._open_size >= CHUNK:
            self.close()
        return where

    def close(self) -> None:
        """End the chunk that is open; after the last document."""
        if self._open:
            chunk = _compressed(b"[" + b",".join(self._open) + b"]")
            self.chunks.append(chunk)
            self._left -= len(chunk)
            self._open, self._open_size = [], 0


def packed(value: object) -> str:
    """Any plain data, compressed and in base64."""
    return _compressed(json_bytes(value, nonfinite="null"))


def _compressed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, LEVEL, mtime=0)).decode("ascii")
