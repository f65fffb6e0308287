"""The console protocol of kvm-unit-tests: from the bytes that a guest prints to a Transcript.

Lines that begin with ``PASS:``, ``FAIL:``, ``XFAIL:``, ``XPASS:``, ``KFAIL:`` or ``SKIP:`` are
subtests; ``SUMMARY:`` ends a test's report; ``EXIT: STATUS=n`` is its encoded verdict where the
machine has no better way to tell (lib/report.c and lib/*/io.c there). Everything else is prose, of
which only measurements and what explains a failure are kept.
"""

import re
from dataclasses import replace

from matrix.attempt import Transcript
from matrix.suites.measurements import Metric, measurements
from matrix.suites.output import NAME_LIMIT, OutputParser, printable
from matrix.verdicts import SubtestVerdict

METRICS_KEPT = 512

_SUBTEST = re.compile(r"(PASS|FAIL|XFAIL|XPASS|KFAIL|SKIP): ?(.*)")
_VERDICTS = {verdict.value.upper(): verdict for verdict in SubtestVerdict}
_STATUS = re.compile(r"EXIT: .*?STATUS=([0-9]{1,9})(?![0-9])")
_SUMMARY = "SUMMARY: "
_SUMMARY_COUNTS = re.compile(r"([0-9]{1,9}) (tests|unexpected failures)")
_NOTE = re.compile(
    r"Unhandled |Unexpected (?:program|external|machine|io|supervisor)|ABORT: |WARNING: "
    r"|\s*STACK:|RECURSIVE STACK"
)
_FAILED_ASSERTION = ": assert failed: "

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


class ConsoleParser(OutputParser):
    """Reads a console of kvm-unit-tests or of an embedded guest."""

    def __init__(self) -> None:
        super().__init__()
        self._status: int | None = None
        self._summary = ""
        self._metrics: dict[str, Metric] = {}

    def finish(self) -> Transcript:
        """Take the end of the output: what it said, as a whole. Idempotent."""
        whole = super().finish()
        mismatch = self._summary_mismatch()
        return replace(
            whole,
            status=self._status,
            summary=self._summary,
            notes=(*whole.notes, *([mismatch] if mismatch else [])),
            metrics=tuple(self._metrics.values()),
        )

    def take(self, line: str) -> None:
        """Take one line."""
        match = _SUBTEST.match(line)
        if match is not None:
            verdict = _VERDICTS[match[1]]
            if self.count_subtest(verdict):
                text = printable(match[2].strip())
                self.keep_subtest(verdict, *_name_and_message(verdict, text))
        elif line.startswith(_SUMMARY):
            self._summary = printable(line.removeprefix(_SUMMARY).strip()[:NAME_LIMIT])
        elif self._status is None and (status := _STATUS.match(line)) is not None:
            self._status = int(status[1])
        elif _NOTE.match(line) or _FAILED_ASSERTION in line:
            self.keep_note(line)
        for metric in measurements(line):
            self._take_metric(metric)

    def _take_metric(self, metric: Metric) -> None:
        """Keep it under its name; a name that comes again gets a number."""
        name, value, unit = metric
        number = 1
        while name in self._metrics and len(self._metrics) < METRICS_KEPT:
            number += 1
            name = f"{metric[0]} ({number})"
        if len(self._metrics) < METRICS_KEPT:
            self._metrics[name] = (name, value, unit)

    def _summary_mismatch(self) -> str:
        """A note where the summary counts other than what was seen: output was lost.

        Fewer lines than tests also happen in a complete log: a test may count checks silently.
        """
        said = {what: int(number) for number, what in _SUMMARY_COUNTS.findall(self._summary)}
        if not said:
            return ""
        seen = sum(self._counts.values())
        failed = self.count(SubtestVerdict.FAIL) + self.count(SubtestVerdict.XPASS)
        counted = said.get("unexpected failures", 0)
        if counted != failed:
            return f"the summary counts {counted} failures, but {failed} were seen"
        if said.get("tests", seen) != seen:
            return f"the summary counts {said['tests']} tests, but {seen} were seen"
        return ""


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
