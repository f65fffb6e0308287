"""Takes the lines of trace events out of what a QEMU writes to its stderr.

QEMU's ``log`` trace backend (Debian builds with it) writes events there, between its messages:
``NAME ARGUMENTS``, with ``PID@SECONDS.MICROSECONDS:`` before it under ``-msg timestamp=on``.
"""

import re

MOST_LINES = 4096
"""Lines kept until they are asked for: a hop has some 80."""
LONGEST_LINE = 1024
"""Bytes; QEMU's names of sections have at most 255."""
_TIMESTAMP = re.compile(rb"\A\d+@\d+\.\d+:")
_PART_OF_TIMESTAMP = re.compile(rb"\A\d+(?:@\d*(?:\.\d*)?)?\Z")


class TraceLines:
    """Separates the events whose names begin with ``prefix`` from all else."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        self._held = b""
        """The begin of a line that may become an event."""
        self._amid_line = False
        """The begin of the last line was passed on."""
        self._lines: list[str] = []

    def feed(self, data: bytes) -> bytes:
        """Take in what was written; what is no event of ours is returned, in order."""
        begin = b""
        if self._amid_line:
            begin, end, data = data.partition(b"\n")
            begin += end
            if not end:
                return begin
        *whole, last = (self._held + data).split(b"\n")
        rest = [line + b"\n" for line in whole if not self._taken(line)]
        self._held = last if self._may_become_one(last) else b""
        self._amid_line = len(last) > len(self._held)
        return begin + b"".join(rest) + (last if self._amid_line else b"")

    def rest(self) -> bytes:
        """What was held back, at the end of the output."""
        held, self._held = self._held, b""
        return held

    def take(self) -> tuple[str, ...]:
        """The events since this was asked last, without timestamps."""
        lines, self._lines = self._lines, []
        return tuple(lines)

    def _taken(self, line: bytes) -> bool:
        event = _TIMESTAMP.sub(b"", line, count=1)
        if not event.startswith(self._prefix):
            return False
        if len(self._lines) < MOST_LINES:
            self._lines.append(event.decode("utf-8", "replace").rstrip())
        return True

    def _may_become_one(self, begin: bytes) -> bool:
        event = _TIMESTAMP.sub(b"", begin, count=1)
        if not begin or len(begin) > LONGEST_LINE:
            return False
        known = min(len(event), len(self._prefix))
        return event[:known] == self._prefix[:known] or bool(_PART_OF_TIMESTAMP.match(begin))
