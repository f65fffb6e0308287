"""What a guest has printed, as lines that are waited for, and as kvm-unit-tests' protocol. Pure."""

import re
from collections import deque
from itertools import islice

from matrix.attempt import Transcript
from matrix.results.printable import decoded
from matrix.suites.console_protocol import ConsoleParser

LINES_KEPT = 100_000
"""The latest ones; console.log has more."""
LINE_LIMIT = 4096
"""Bytes of a line that are kept."""

Wanted = str | re.Pattern[str]
"""A part of a line, or a pattern to search lines for."""


class Lines:
    """Takes in a console in pieces of any size; lines are whole once their break has come."""

    def __init__(self) -> None:
        self._parser = ConsoleParser()
        self._kept: deque[str] = deque(maxlen=LINES_KEPT)
        self._count = 0
        self._partial = b""
        self._seen = 0
        """Lines, counted from the first, up to the one that was found last."""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._parser.feed(data)
        *whole, rest = (self._partial + data).split(b"\n")
        self._partial = rest[:LINE_LIMIT]
        self._take(whole)

    def finish(self) -> Transcript:
        """There is no more: what lacks its break is a line too. Idempotent."""
        if self._partial:
            self._take([self._partial])
            self._partial = b""
        return self._parser.finish()

    def find(self, wanted: Wanted) -> str | None:
        """The first line that has what is wanted, after the one that was found last.

        None: there is none yet. What was found, and all before it, is not found again.
        """
        first = self._count - len(self._kept)
        for number, line in enumerate(islice(self._kept, max(0, self._seen - first), None)):
            found = wanted in line if isinstance(wanted, str) else wanted.search(line)
            if found:
                self._seen = max(first, self._seen) + number + 1
                return line
        return None

    @property
    def lines(self) -> tuple[str, ...]:
        """All that is kept, printable."""
        return tuple(self._kept)

    @property
    def last(self) -> str:
        """The last line that says something, whole or not."""
        return self._parser.last_line

    def _take(self, lines: list[bytes]) -> None:
        self._count += len(lines)
        self._kept.extend(decoded(line[:LINE_LIMIT].rstrip(b"\r")) for line in lines)
