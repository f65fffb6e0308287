"""``junit.xml``: one test suite per scenario and variant, one test case per case.

There is no standard; this is what GitLab, Jenkins and their kin show, valid by ``junit-10.xsd``,
with which Jenkins' xunit plugin refuses what it does not know:

* GitLab shows the *text* of ``failure``, ``error`` and ``skipped``, Jenkins the ``message`` too:
  the reason stands in both, the subtests that did not pass only in the text.
* That schema has no ``properties`` in a test case: the axes are those of its suite; accelerator and
  metrics stand as ``NAME = VALUE`` in ``system-out``, before the end of the console of a case that
  did not pass.
* GitLab takes test cases of the same class and name for one: they never are here.
* Jenkins splits the class name at its last dot into package and class: the scenario is the
  package, and dots in a variant (``qemu=10.0``) are written ``_`` there.
* GitLab refuses files of 30 MB, and all of their tests with them: once 20 MB are written, cases
  have no console in them any more, and once 26 MB are, only their message; they say so.
* A known failure is ``skipped``, as pytest has it; its pass is a pass, of which ``system-out``
  tells, or with ``strict`` a failure.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import quoteattr

from junitparser.junitparser import Error, Failure, FinalResult, Skipped
from junitparser.xunit2 import TestCase

from matrix.model import Case
from matrix.results.case_record import CaseRecord
from matrix.results.directory import CONSOLE_FILE
from matrix.results.files import written_atomically
from matrix.results.labels import axis_labels, variant_label
from matrix.results.outcome import counts_as_failure
from matrix.results.printable import decoded, printable
from matrix.results.reused_words import reused_words
from matrix.results.run_record import RunRecord
from matrix.verdict.known_failures import KNOWN
from matrix.verdicts import Subtest, Verdict

CONSOLE_TAIL = 8 * 2**10
"""Bytes of the console that go into ``system-out`` of a case that did not pass."""

ROOM_FOR_CONSOLES, ROOM_FOR_TEXT = 20_000_000, 26_000_000
"""Bytes of a file up to which those are in it: GitLab takes less than 30 MB
(docs.gitlab.com/ci/testing/unit_test_reports)."""
LONGEST_MESSAGE = 200
"""Characters of a case's message beyond that."""

MOST_SUBTESTS = 200
"""How many subtests that did not pass are named; ``result.json`` has all."""


@dataclass(slots=True)
class _Suite:
    """The cases of one scenario in one variant."""

    case: Case
    """Any of them: it says which scenario and which variant."""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """By id, in the plan's order."""
    seconds: float = 0.0

    @property
    def variant(self) -> str:
        return printable(variant_label(self.case.variant))

    @property
    def class_name(self) -> str:
        return f"{printable(self.case.scenario)}.{self.variant.replace('.', '_')}"


def write_junit(record: RunRecord) -> None:
    """Write ``junit.xml`` from what is finished so far, holding one case at a time in memory.

    Raises:
        HostError: it cannot be written, or the journal cannot be read.
    """
    suites = _suites(record)
    with written_atomically(record.run.path / "junit.xml", durable=True) as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n')
        verdicts = [verdict for suite in suites for verdict in suite.verdicts.values()]
        seconds = sum(suite.seconds for suite in suites)
        _open_tag(file, "testsuites", {"name": "matrix", **_totals(record, verdicts, seconds)})
        names: Counter[tuple[str, str]] = Counter()
        for suite in suites:
            _write_suite(file, record, suite, names)
        file.write(b"</testsuites>\n")


def _suites(record: RunRecord) -> list[_Suite]:
    """The suites with their finished cases, in the plan's order."""
    suites: dict[tuple[object, ...], _Suite] = {}
    for decision in record.decisions:
        case = decision.case
        verdict = record.verdict(case.id)
        if verdict is not None:
            suite = suites.setdefault((case.scenario, case.variant), _Suite(case))
            suite.verdicts[case.id] = verdict
            suite.seconds += record.seconds(case.id)
    return list(suites.values())


def _totals(record: RunRecord, verdicts: list[Verdict], seconds: float) -> dict[str, str]:
    """The attributes that count; ``failure`` and ``error`` as in the elements of the cases."""
    kinds = Counter(_element_name(verdict, strict=record.strict) for verdict in verdicts)
    return {
        "tests": str(len(verdicts)),
        "failures": str(kinds["failure"]),
        "errors": str(kinds["error"]),
        "time": f"{seconds:.3f}",
    }


def _write_suite(
    file: BinaryIO, record: RunRecord, suite: _Suite, names: Counter[tuple[str, str]]
) -> None:
    verdicts = list(suite.verdicts.values())
    skipped = sum(_element_name(each, strict=record.strict) == "skipped" for each in verdicts)
    attributes = {
        "name": f"{printable(suite.case.scenario)} {suite.variant}",
        **_totals(record, verdicts, suite.seconds),
        "skipped": str(skipped),
        "timestamp": record.info.started[:19],
        "hostname": record.info.hostname or "localhost",
    }
    _open_tag(file, "testsuite", attributes)
    file.write(b"<properties>\n")
    for name, value in axis_labels(suite.case.variant).items():
        _open_tag(file, "property", {"name": name, "value": value}, empty=True)
    file.write(b"</properties>\n")
    for result in record.results(suite.verdicts):
        name = printable(result.test)
        names[(suite.class_name, name)] += 1
        if names[(suite.class_name, name)] > 1:
            name = f"{name} ({printable(result.id)})"
        case = _test_case(record, result, name, suite.class_name, file.tell())
        text = case.tostring()  # type: ignore[no-untyped-call]  # junitparser has no annotations
        file.write(text.removeprefix(_DECLARATION) + b"\n")
    file.write(b"</testsuite>\n")


_DECLARATION = b"<?xml version='1.0' encoding='utf-8'?>\n"
"""What the standard library's serializer puts before every element."""


def _open_tag(file: BinaryIO, tag: str, attributes: dict[str, str], *, empty: bool = False) -> None:
    text = "".join(f" {name}={quoteattr(printable(each))}" for name, each in attributes.items())
    file.write(f"<{tag}{text}{'/' if empty else ''}>\n".encode())


def _test_case(
    record: RunRecord, result: CaseRecord, name: str, class_name: str, written: int
) -> TestCase:
    """One case; ``written`` bytes of the file are before it."""
    case = TestCase(name, class_name, round(result.seconds, 3))
    message = _message(result)
    if written > ROOM_FOR_TEXT:
        message = message[:LONGEST_MESSAGE]
    output = [
        f"{printable(key)} = {printable(value)}" for key, value in _facts(result, record.run.given)
    ]
    kind = _element_name(result.verdict, strict=record.strict)
    if kind is not None:
        element = _ELEMENTS[kind](message, result.verdict.value)
        explained = written <= ROOM_FOR_TEXT
        element.text = "\n".join(_explanation(result, record.run.path)) if explained else message
        case.result = element
    elif result.verdict is Verdict.XPASS:
        output.append(message)  # nothing else would tell of it
    if written > ROOM_FOR_TEXT:
        output = ["what else there is stands in results.json: this file is too long for it"]
    elif kind in ("failure", "error") and written > ROOM_FOR_CONSOLES:
        output += ["", "the console is left out: this file is too long for it"]
    elif kind in ("failure", "error"):
        console = decoded(record.run.tail_of(result.artifacts, CONSOLE_FILE, CONSOLE_TAIL))
        output += ["", console] if console else []
    # GitLab takes this for a link to a file of its own; a guest has none to give.
    case.system_out = "\n".join(output).replace("[[ATTACHMENT|", "[[ATTACHMENT |")
    return case


_ELEMENTS: dict[str, type[FinalResult]] = {"failure": Failure, "error": Error, "skipped": Skipped}


def _element_name(verdict: Verdict, *, strict: bool) -> str | None:
    """The element that says how a case ended; None for one that passed."""
    if verdict is Verdict.ERROR:
        return "error"
    if counts_as_failure(verdict, strict=strict):
        return "failure"
    return "skipped" if verdict in (Verdict.SKIP, Verdict.XFAIL) else None


def _message(result: CaseRecord) -> str:
    reason = printable(result.reason)
    if result.verdict is Verdict.XFAIL:
        return f"known failure: {reason.removeprefix(KNOWN)}"
    if result.verdict is Verdict.XPASS:
        return f"passed, although it is a known failure: {reason.removeprefix(KNOWN)}"
    return reason


def _facts(result: CaseRecord, run: Path) -> Iterator[tuple[str, str]]:
    yield "id", result.id
    if not result.attempts:
        return
    yield "accelerator", f"{result.accelerator} ({result.accelerator_reason})"
    if result.reused is not None:
        yield "reused", reused_words(result.reused, run)
    if result.artifacts:
        yield "artifacts", result.artifacts
    for metric in result.metrics:
        yield metric.name, metric.words()


def _explanation(result: CaseRecord, run: Path) -> Iterator[str]:
    """What a reader of the report needs: reason, subtests, attempts, and how to run it by hand."""
    yield _message(result)
    subtests = result.not_passed
    yield from (_subtest_line(each) for each in subtests[:MOST_SUBTESTS])
    if len(subtests) > MOST_SUBTESTS:
        yield f"… and {len(subtests) - MOST_SUBTESTS} more subtests that did not pass"
    if len(result.attempts) > 1:
        for attempt in result.attempts:
            reason = printable(attempt.reason)
            yield f"attempt {attempt.number}: {attempt.verdict.value} {reason}".rstrip()
    command = str(run / result.command) if result.command else ""
    for what, value in (("artifacts", result.artifacts), ("by hand", command)):
        if value:
            yield f"{what}: {printable(value)}"


def _subtest_line(subtest: Subtest) -> str:
    words = f"{subtest.verdict.value.upper()}: {printable(subtest.name)}"
    return f"{words}: {printable(subtest.message)}" if subtest.message else words
