"""The console protocol of kvm-unit-tests: from the bytes that a guest prints to a Transcript.

Lines that begin with ``PASS:``, ``FAIL:``, ``XFAIL:``, ``XPASS:``, ``KFAIL:`` or ``SKIP:`` are
subtests; ``SUMMARY:`` ends a test's report; ``EXIT: STATUS=n`` is its encoded verdict where the
machine has no better way to tell (lib/report.c and lib/*/io.c there). Everything else is prose, of
which only measurements and what explains a failure are kept.
"""

import re

from matrix.attempt import Transcript
from matrix.model import Subtest, SubtestVerdict
from matrix.suites.measurements import Metric, measurements

LINE_LIMIT = 4096
"""Bytes of a line that are looked at; kvm-unit-tests prints at most 2000 at once."""

NAME_LIMIT = 512
"""Characters of a subtest's name, of its message, and of a note."""

PASSES_KEPT = 2000
"""Subtests that passed or were skipped; further ones are only counted."""

FAILURES_KEPT = 2000
"""Subtests of the other verdicts; further ones are only counted."""

NOTES_KEPT = 64
METRICS_KEPT = 512

_SUBTEST = re.compile(r"(PASS|FAIL|XFAIL|XPASS|KFAIL|SKIP): ?(.*)")
_VERDICTS = {verdict.value.upper(): verdict for verdict in SubtestVerdict}
_QUIET = frozenset({SubtestVerdict.PASS, SubtestVerdict.SKIP})
_STATUS = re.compile(r"EXIT: .*?STATUS=([0-9]{1,9})(?![0-9])")
_SUMMARY = "SUMMARY: "
_SUMMARY_COUNTS = re.compile(r"([0-9]{1,9}) (tests|unexpected failures)")
_NOTE = re.compile(
    r"Unhandled |Unexpected (?:program|external|machine|io|supervisor)|ABORT: |WARNING: "
    r"|\s*STACK:|RECURSIVE STACK"
)
_FAILED_ASSERTION = ": assert failed: "

# ECMA-48 control sequences, operating system commands, and other escapes. Those that move the
# cursor or clear the screen (UEFI firmware does so before each line) end a line like a newline.
_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*(?P<csi>[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]|\Z)"
)
_NEW_LINE_FINALS = b"HfJEF"

# What a check saw, behind what it is called: it differs from run to run, the name must not.
_DETAIL = re.compile(
    r"(?P<name>.+?)"
    r"(?:: (?P<a>expected\(.*\) == received\(.*\))"  # s390x/lib, program interrupts
    r"|: (?P<b>total/best/avg/worst .*)"  # s390x/exittime.c
    r"|:\s+(?P<c>(?:0x)?[0-9a-f]+ <==> .*)"  # powerpc/sprs.c
    r"|, (?P<d>got .*)"
    r"| \((?P<e>(?:actual|in) .*)\)"
    r"| (?P<f>[0-9]+%))"
)


class ConsoleParser:
    """Reads a console as it comes, in pieces of any size, with bounded memory.

    ``feed`` it bytes, then ``finish``. How the bytes are cut into pieces makes no difference, and
    no bytes whatever raise anything.
    """

    def __init__(self) -> None:
        self._partial = bytearray()
        self._last = b""
        self._subtests: list[Subtest] = []
        self._counts: dict[SubtestVerdict, int] = {}
        self._passes = 0
        self._status: int | None = None
        self._summary = ""
        self._notes: list[str] = []
        self._metrics: dict[str, Metric] = {}

    @property
    def last_line(self) -> str:
        """The last line that is not blank, unfinished or not, printable characters only."""
        for raw in (bytes(self._partial), self._last):
            for line in reversed(_plain_lines(raw)):
                if line.strip():
                    return _printable(line.strip())
        return ""

    def feed(self, data: bytes) -> None:
        """Take the next piece of the console's output."""
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
        """Take the end of the output: what it said, as a whole. Idempotent."""
        self._end_line()
        mismatch = self._summary_mismatch()
        kept = len(self._subtests)
        return Transcript(
            subtests=tuple(self._subtests),
            counts=tuple((verdict, n) for verdict in SubtestVerdict if (n := self._count(verdict))),
            dropped=sum(self._counts.values()) - kept,
            status=self._status,
            summary=self._summary,
            notes=(*self._notes, *([mismatch] if mismatch else [])),
            metrics=tuple(self._metrics.values()),
        )

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
        lines = _plain_lines(raw)
        for line in lines:
            if line and not line.isspace():
                self._last = raw
                self._take(line)

    def _take(self, line: str) -> None:
        match = _SUBTEST.match(line)
        if match is not None:
            self._take_subtest(_VERDICTS[match[1]], match[2])
        elif line.startswith(_SUMMARY):
            self._summary = _printable(line.removeprefix(_SUMMARY).strip()[:NAME_LIMIT])
        elif self._status is None and (status := _STATUS.match(line)) is not None:
            self._status = int(status[1])
        elif (_NOTE.match(line) or _FAILED_ASSERTION in line) and len(self._notes) < NOTES_KEPT:
            self._notes.append(_printable(line.strip()[:NAME_LIMIT]))
        for metric in measurements(line):
            self._take_metric(metric)

    def _take_subtest(self, verdict: SubtestVerdict, text: str) -> None:
        self._counts[verdict] = self._count(verdict) + 1
        if verdict in _QUIET:
            self._passes += 1
            keep = self._passes <= PASSES_KEPT
        else:
            keep = len(self._subtests) - min(self._passes, PASSES_KEPT) < FAILURES_KEPT
        if keep:
            name, message = _name_and_message(verdict, _printable(text.strip()))
            self._subtests.append(Subtest(name[:NAME_LIMIT], verdict, message[:NAME_LIMIT]))

    def _take_metric(self, metric: Metric) -> None:
        """Keep it under its name; a name that comes again gets a number."""
        name, value, unit = metric
        number = 1
        while name in self._metrics and len(self._metrics) < METRICS_KEPT:
            number += 1
            name = f"{metric[0]} ({number})"
        if len(self._metrics) < METRICS_KEPT:
            self._metrics[name] = (name, value, unit)

    def _count(self, verdict: SubtestVerdict) -> int:
        return self._counts.get(verdict, 0)

    def _summary_mismatch(self) -> str:
        """A note where the summary counts other than what was seen: output was lost.

        Fewer lines than tests also happen in a complete log: a test may count checks silently.
        """
        said = {what: int(number) for number, what in _SUMMARY_COUNTS.findall(self._summary)}
        if not said:
            return ""
        seen = sum(self._counts.values())
        failed = self._count(SubtestVerdict.FAIL) + self._count(SubtestVerdict.XPASS)
        counted = said.get("unexpected failures", 0)
        if counted != failed:
            return f"the summary counts {counted} failures, but {failed} were seen"
        if said.get("tests", seen) != seen:
            return f"the summary counts {said['tests']} tests, but {seen} were seen"
        return ""


def _plain_lines(raw: bytes) -> list[str]:
    """The lines in a raw one, most often itself: without NUL bytes, tabs and escapes."""
    if b"\0" in raw:
        raw = raw.replace(b"\0", b"")
    if b"\x1b" not in raw:
        return [raw.decode(errors="replace").replace("\t", " ")]
    raw = _ESCAPE.sub(_without_escape, raw)
    return raw.decode(errors="replace").replace("\t", " ").split("\n")


def _printable(text: str) -> str:
    """The text with what cannot be shown replaced; it may go to a terminal and into XML."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _without_escape(match: re.Match[bytes]) -> bytes:
    final = match["csi"]
    return b"\n" if final is not None and final in _NEW_LINE_FINALS else b""


def _name_and_message(verdict: SubtestVerdict, text: str) -> tuple[str, str]:
    """What a subtest is called, and what it says about this run.

    kvm-unit-tests prints one text. The reason of a skip is what follows its prefixes; of others,
    known forms of observed values are split off, so that names can be compared between runs.
    """
    if verdict is SubtestVerdict.SKIP:
        name, colon, message = text.rpartition(": ")
        return (name, message) if colon else (text, "")
    match = _DETAIL.fullmatch(text[: 2 * NAME_LIMIT])  # bounded: the pattern backtracks
    if match is None:
        return " ".join(text.split()), ""
    message = next(part for part in match.groups()[1:] if part is not None)
    return " ".join(match["name"].split()), message
