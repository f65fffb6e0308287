"""Reading what a test prints: its lines, and what of them is kept, bounded."""

import re

from matrix.attempt import Transcript
from matrix.verdicts import Subtest, SubtestVerdict

LINE_LIMIT = 4096
"""Bytes of a line that are looked at; kvm-unit-tests prints at most 2000 at once."""

NAME_LIMIT = 512
"""Characters of a subtest's name, of its message, and of a note."""

PASSES_KEPT = 2000
"""Subtests that passed or were skipped; further ones are only counted."""

FAILURES_KEPT = 2000
"""Subtests of the other verdicts; further ones are only counted."""

NOTES_KEPT = 64

_QUIET = frozenset({SubtestVerdict.PASS, SubtestVerdict.SKIP})

# ECMA-48 control sequences, operating system commands, and other escapes. Those that move the
# cursor or clear the screen (UEFI firmware does so before each line) end a line like a newline.
_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*(?P<csi>[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]|\Z)"
)
_NEW_LINE_FINALS = b"HfJEF"


class OutputParser:
    """What the parsers of all suites have in common: see :class:`matrix.suites.suite.Parser`.

    A kind's own has :meth:`take`, and calls :meth:`count_subtest`, :meth:`keep_subtest` where that
    says so, and :meth:`keep_note`.
    """

    def __init__(self) -> None:
        self._partial = bytearray()
        self._last = b""
        self._subtests: list[Subtest] = []
        self._counts: dict[SubtestVerdict, int] = {}
        self._passes = 0
        self._notes: list[str] = []

    def take(self, line: str) -> None:
        """Take one line that is not blank, without its break; tabs are blanks in it."""
        raise NotImplementedError

    @property
    def last_line(self) -> str:
        """The last line that is not blank, unfinished or not, printable characters only."""
        for raw in (bytes(self._partial), self._last):
            for line in reversed(_plain_lines(raw)):
                if line.strip():
                    return printable(line.strip())
        return ""

    def feed(self, data: bytes) -> None:
        """Take the next piece of the output."""
        if b"\r" in data:
            data = data.replace(b"\r", b"\n")
        first, *others = data.split(b"\n")
        self._append(first)
        if not others:
            return
        self._end_line()
        for piece in others[:-1]:
            if piece:
                self._take_line(piece[:LINE_LIMIT])
        self._append(others[-1])

    def finish(self) -> Transcript:
        """Take the end of the output: the subtests and notes in it. Idempotent."""
        self._end_line()
        return Transcript(
            subtests=tuple(self._subtests),
            counts=tuple((verdict, n) for verdict in SubtestVerdict if (n := self.count(verdict))),
            dropped=sum(self._counts.values()) - len(self._subtests),
            notes=tuple(self._notes),
        )

    def count_subtest(self, verdict: SubtestVerdict) -> bool:
        """Count one of that verdict; whether there is room to keep it."""
        self._counts[verdict] = self.count(verdict) + 1
        if verdict in _QUIET:
            self._passes += 1
            return self._passes <= PASSES_KEPT
        return len(self._subtests) - min(self._passes, PASSES_KEPT) < FAILURES_KEPT

    def keep_subtest(self, verdict: SubtestVerdict, name: str, message: str) -> None:
        """Keep one that was counted."""
        self._subtests.append(Subtest(name[:NAME_LIMIT], verdict, message[:NAME_LIMIT]))

    def keep_note(self, line: str) -> None:
        """Keep a line that explains something, while there is room."""
        if len(self._notes) < NOTES_KEPT:
            self._notes.append(printable(line.strip()[:NAME_LIMIT]))

    def count(self, verdict: SubtestVerdict) -> int:
        """How many subtests had that verdict."""
        return self._counts.get(verdict, 0)

    def _append(self, piece: bytes) -> None:
        room = LINE_LIMIT - len(self._partial)
        if room > 0 and piece:
            self._partial += piece[:room]

    def _end_line(self) -> None:
        if self._partial:
            raw = bytes(self._partial)
            self._partial.clear()
            self._take_line(raw)

    def _take_line(self, raw: bytes) -> None:
        for line in _plain_lines(raw):
            if line and not line.isspace():
                self._last = raw
                self.take(line)


def printable(text: str) -> str:
    """The text with what cannot be shown replaced; it may go to a terminal and into XML."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _plain_lines(raw: bytes) -> list[str]:
    """The lines in a raw one, most often itself: without NUL bytes, tabs and escapes."""
    if b"\0" in raw:
        raw = raw.replace(b"\0", b"")
    if b"\x1b" not in raw:
        return [raw.decode(errors="replace").replace("\t", " ")]
    raw = _ESCAPE.sub(_without_escape, raw)
    return raw.decode(errors="replace").replace("\t", " ").split("\n")


def _without_escape(match: re.Match[bytes]) -> bytes:
    final = match["csi"]
    return b"\n" if final is not None and final in _NEW_LINE_FINALS else b""
