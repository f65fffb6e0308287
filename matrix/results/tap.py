"""``results.tap``: a test point per case and a nested stream for its subtests.

https://testanything.org/tap-version-14-specification.html; the sections named here are its. The
file calls itself version 13 unless 14 was asked for: Perl's TAP::Harness 3.44 (``prove``) and LAVA
fail whatever calls itself 14. Nested streams are unknown lines to readers of 13, who ignore them.

============  ===========================================
``pass``      ``ok``
``skip``      ``ok … # SKIP reason``
``xfail``     ``not ok … # TODO reason``
``xpass``     ``ok … # TODO reason``, ``not ok`` with ``strict``
all others    ``not ok`` with a YAML diagnostic
============  ===========================================

Before a case that was not run again, a comment says where its result comes from.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from matrix.results.case_record import CaseRecord
from matrix.results.files import written_atomically
from matrix.results.outcome import counts_as_failure
from matrix.results.printable import printable
from matrix.results.reused_words import reused_words
from matrix.results.run_record import RunRecord
from matrix.verdicts import Subtest, SubtestVerdict, Verdict


def write_tap(record: RunRecord) -> None:
    """Write ``results.tap`` from what is finished so far, holding one case at a time in memory.

    Raises:
        HostError: it cannot be written, or the journal cannot be read.
    """
    with written_atomically(record.run.path / "results.tap", durable=True) as file:
        file.write(
            f"TAP version {record.tap_version}\n1..{sum(record.counts().values())}\n".encode()
        )
        for number, result in enumerate(record.results(), start=1):
            lines = _case_lines(number, result, record.run.given, strict=record.strict)
            file.writelines(f"{line}\n".encode() for line in lines)


def escaped(text: str) -> str:
    r"""A description or a reason: printable, ``\`` and ``#`` escaped ("Escaping").

    tap.py 3.2 takes an escaped ``#`` for one that begins a directive all the same, and a case that
    failed for a known failure: where a directive's word follows, it is spelt ``\x23``.
    """
    text = re.sub(r"#(?=\s*(?:SKIP|TODO))", r"\\x23", printable(text), flags=re.IGNORECASE)
    return re.sub(r"([\\#])", r"\\\1", text).strip()


def _case_lines(number: int, result: CaseRecord, run: Path, *, strict: bool) -> Iterator[str]:
    name = escaped(result.id)
    if result.subtests:
        yield f"# Subtest: {name}"
        yield from (f"    {line}" for line in _subtest_lines(result))
    if result.reused is not None:
        yield f"# reused: {escaped(reused_words(result.reused, run))}"
    status = _status(result.verdict, strict=strict)
    yield f"{status} {number} - {name}{_directive(result, strict=strict)}"
    if counts_as_failure(result.verdict, strict=strict):
        yield from (f"  {line}" for line in _diagnostic(result, run))


def _status(verdict: Verdict, *, strict: bool) -> str:
    failed = counts_as_failure(verdict, strict=strict) or verdict is Verdict.XFAIL
    return "not ok" if failed else "ok"


def _directive(result: CaseRecord, *, strict: bool) -> str:
    """A TODO that fails is no failure to a harness ("TODO tests"), so an unexpected pass that is
    to fail the run has none."""
    reason = escaped(result.reason)
    if result.verdict is Verdict.SKIP:
        return f" # SKIP {reason}".rstrip()
    known = result.verdict in (Verdict.XFAIL, Verdict.XPASS)
    if known and not counts_as_failure(result.verdict, strict=strict):
        return f" # TODO {reason}".rstrip()
    return ""


def _subtest_lines(result: CaseRecord) -> Iterator[str]:
    yield f"1..{len(result.subtests)}"
    for number, subtest in enumerate(result.subtests, start=1):
        yield _subtest_line(number, subtest)
    if result.subtests_dropped:
        yield f"# {result.subtests_dropped} more subtests, which are only counted"


def _subtest_line(number: int, subtest: Subtest) -> str:
    """What a guest expected to fail is no failure; that it passed is one, as the guest counts."""
    point = f"{number} - {escaped(subtest.name)}"
    message = escaped(subtest.message)
    match subtest.verdict:
        case SubtestVerdict.PASS:
            return f"ok {point}{_appended(message)}"
        case SubtestVerdict.FAIL:
            return f"not ok {point}{_appended(message)}"
        case SubtestVerdict.XPASS:
            return f"not ok {point}{_appended(message)} (passed, a failure was expected)"
        case SubtestVerdict.SKIP:
            return f"ok {point} # SKIP {message}".rstrip()
        case SubtestVerdict.XFAIL:
            return f"not ok {point} # TODO expected failure{_appended(message)}"
        case SubtestVerdict.KFAIL:
            return f"not ok {point} # TODO known failure{_appended(message)}"
        case _:
            assert_never(subtest.verdict)


def _appended(message: str) -> str:
    return f": {message}" if message else ""


def _diagnostic(result: CaseRecord, run: Path) -> Iterator[str]:
    """YAML 1.2 ("YAML Diagnostics"); JSON strings are such, and printable ones need no care."""
    yield "---"
    yield f"message: {_text(result.reason)}"
    yield f"verdict: {_text(result.verdict.value)}"
    yield f"seconds: {result.seconds:.3f}"
    command = str(run / result.command) if result.command else ""
    for name, value in (
        ("accelerator", result.accelerator),
        ("command", command),
        ("artifacts", result.artifacts),
    ):
        if value:
            yield f"{name}: {_text(value)}"
    if len(result.attempts) > 1:
        yield "attempts:"
        for attempt in result.attempts:
            yield f"  - {_text(f'{attempt.verdict.value}: {attempt.reason}')}"
    yield "..."


def _text(text: str) -> str:
    return json.dumps(printable(text), ensure_ascii=False)
