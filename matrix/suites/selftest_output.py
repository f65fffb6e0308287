"""What KVM selftests print: TAP where they do, the assertion that failed, why they skip.

TAP is the kernel's dialect (Documentation/dev-tools/ktap.rst): numbers may lack, and directives are
``# SKIP`` and ``# XFAIL``. Its harness says what a test expected in lines of its own,
``# FILE:LINE:TEST:WORDS``. An assertion of KVM's selftests (lib/assert.c there) is a block::

    ==== Test Assertion Failure ====
      x86_64/cpuid_test.c:94: e1->eax == e2->eax
      pid=1 tid=1 errno=0 - Success
         1  0x0000000000401759: compare_cpuids at cpuid_test.c:94
      CPUID 0x1.0 differ
"""

import re
from dataclasses import replace

from matrix.attempt import Transcript
from matrix.suites.output import OutputParser, printable
from matrix.verdicts import Subtest, SubtestVerdict

SKIP = "SKIP: "
"""With this a note begins that says why a test skips all of itself."""
ASSERTION = "ASSERTION: "
"""With this a note begins that is a failed assertion: its place, and what it says."""

_RESULT = re.compile(r"(?:# )*(ok|not ok)(?: +[0-9]{1,9})?(?: +(?:- )?([^#]*?))? *(?:# *(.*))?")
_PLAN = re.compile(r"1\.\.([0-9]{1,9})(?: *# *(?:SKIP *)?(?:- )?(.*))?")
_BAIL_OUT = re.compile(r"(?:# )*Bail out! *(.*)")
_EXPECTED = re.compile(r"# (?:\S+?:[0-9]+:)?([\w.-]+): ?(.+)")
_PRINTED_SKIP = re.compile(r"(?:# )?(.+), skipping (?:test|tests)\.?")
_BLOCK = "==== Test Assertion Failure ===="
_PLACE = re.compile(r"  (\S+:[0-9]+): (.*)")
_TRACE = re.compile(
    r"  pid=[0-9]+ |  \(stack trace empty\)| +[0-9]+ +(?:0x[0-9a-f]+: |\(inlined by\) )|sh: "
)


class SelftestParser(OutputParser):
    """Reads both streams of a selftest, which come as one."""

    def __init__(self) -> None:
        super().__init__()
        self._planned: int | None = None
        self._expected: dict[str, str] = {}
        """What the harness said of a test, by its name."""
        self._block: list[str] | None = None
        """Place and expression of the assertion whose message has not come yet."""

    def finish(self) -> Transcript:
        """Take the end of the output: what it said, as a whole. Idempotent."""
        self._end_block("")
        whole = super().finish()
        seen = sum(number for _, number in whole.counts)
        summary = f"{seen} tests" if seen else ""
        if skipped := self.count(SubtestVerdict.SKIP):
            summary += f", {skipped} skipped"
        notes = whole.notes
        if self._planned and seen < self._planned and not whole.dropped:
            notes += (f"of {self._planned} tests {seen} were seen",)
        subtests = tuple(map(self._explained, whole.subtests))
        return replace(whole, subtests=subtests, summary=summary, notes=notes)

    def take(self, line: str) -> None:
        """Take one line."""
        if self._block is not None and self._in_block(line):
            return
        if _BLOCK in line:  # perhaps behind a line that has no end
            self._block = []
        elif match := _RESULT.fullmatch(line):
            verdict, name, message = _subtest(*match.groups(default=""))
            if self.count_subtest(verdict):
                self.keep_subtest(verdict, name, message)
        elif match := _PLAN.fullmatch(line):
            self._planned = int(match[1])
            if not self._planned:
                self.keep_note(f"{SKIP}{match[2] or ''}")
        elif match := _BAIL_OUT.fullmatch(line):
            self.keep_note(f"Bail out! {match[1]}")
        elif match := _PRINTED_SKIP.fullmatch(line):
            self.keep_note(f"{SKIP}{match[1]}")
        elif match := _EXPECTED.fullmatch(line):
            self._expected.setdefault(match[1], printable(match[2].strip()))

    def _in_block(self, line: str) -> bool:
        """Take a line of an assertion's block; False for another: threads print in between."""
        if self._block == []:
            match = _PLACE.fullmatch(line)
            self._block = [match[1], match[2]] if match else None
            return match is not None
        if _TRACE.match(line):
            return True
        if line.startswith("  "):
            self._end_block(line.strip())
            return True
        return False

    def _end_block(self, message: str) -> None:
        if self._block:
            place, expression = self._block
            self.keep_note(f"{ASSERTION}{place}: {message or expression}")
        self._block = None

    def _explained(self, subtest: Subtest) -> Subtest:
        """A failed one, with what its harness expected of it."""
        told = self._expected.get(subtest.name.rpartition(".")[2], "")
        return replace(subtest, message=told) if subtest.verdict.failed and told else subtest


def _subtest(result: str, name: str, directive: str) -> tuple[SubtestVerdict, str, str]:
    word, _, why = directive.partition(" ")
    passed = result == "ok"
    match word.upper():
        case "SKIP":
            verdict = SubtestVerdict.SKIP
        case "XFAIL" | "TODO":
            verdict = SubtestVerdict.XFAIL
        case "XPASS":
            verdict = SubtestVerdict.XPASS
        case _:
            verdict = SubtestVerdict.PASS if passed else SubtestVerdict.FAIL
            why = directive
    why = printable(why.removeprefix("- ").strip())
    name = printable(name.strip())
    return verdict, name or why, why if name else ""
