"""A run as CTRF, the Common Test Report Format: JSON that CI plugins and dashboards take.

Made for the schema of its repository (ctrf-io/ctrf, ``schema/ctrf.schema.json``), which has a
closed set of keys and of statuses:

===========================  ======================================================
``pass``, ``xpass``          ``passed``; with ``strict`` an xpass is ``failed``
``skip``, ``xfail``          ``skipped``, as in ``junit.xml``
a case that has not ended    ``pending``
every other verdict          ``failed``, flaky ones too: what passed later is no pass
===========================  ======================================================

``rawStatus`` is the verdict by its own name. ``name`` is the case's id, which no other case has;
``id``, which must be a UUID, is made of it and is the same in every run.
"""

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matrix import __version__
from matrix.results.case_record import AttemptRecord, CaseRecord
from matrix.results.directory import CONSOLE_FILE
from matrix.results.labels import axis_texts, variant_label
from matrix.results.outcome import counts_as_failure
from matrix.results.printable import decoded, printable
from matrix.results.reused_words import reused_words
from matrix.results.run_record import RunRecord
from matrix.results.timeline import Lap, timeline
from matrix.verdicts import Verdict

VERSION = "0.0.0"
"""Of the format: its schema takes any, and its own examples have this one."""
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "qemu-matrix:case")
CONSOLE_TAIL = 8 * 2**10
"""Bytes of the console of a case that did not pass."""
STATUSES = ("passed", "failed", "skipped", "pending", "other")


def ctrf_document(record: RunRecord) -> dict[str, Any]:
    """The whole run.

    Raises:
        HostError: the journal cannot be read.
    """
    laps: dict[str, list[Lap]] = {}
    for lap in timeline(record):
        laps.setdefault(lap.case, []).append(lap)
    tests = [_test(record, each, laps.get(each.id, [])) for each in record.results()]
    tests += [
        {"name": printable(each), "status": "pending", "duration": 0}
        for each in record.unfinished()
    ]
    counts = Counter(test["status"] for test in tests)
    every = [lap for those in laps.values() for lap in those]
    return {
        "reportFormat": "CTRF",
        "specVersion": VERSION,
        "generatedBy": f"qemu-matrix {__version__}",
        "results": {
            "tool": {"name": "qemu-matrix", "version": record.info.tool_version},
            "summary": {
                "tests": len(tests),
                **{status: counts[status] for status in STATUSES},
                "start": _milliseconds(min((lap.begin for lap in every), default=0)),
                "stop": _milliseconds(max((lap.end for lap in every), default=0)),
            },
            "tests": tests,
            "environment": {
                "reportName": printable("+".join(each.name for each in record.info.scenarios)),
                "osPlatform": "linux",
                "osRelease": printable(record.info.host.kernel),
                "testEnvironment": printable(record.info.hostname),
                "extra": {
                    "qemu": [
                        printable(f"{each.qemu} {each.architecture}: {each.version}")
                        for each in record.info.binaries
                    ]
                },
            },
        },
    }


def _test(record: RunRecord, result: CaseRecord, laps: list[Lap]) -> dict[str, Any]:
    status = _status(result.verdict, strict=record.strict)
    test: dict[str, Any] = {
        "id": str(uuid.uuid5(NAMESPACE, printable(result.id))),
        "name": printable(result.id),
        "status": status,
        "duration": _milliseconds(result.seconds),
        "rawStatus": result.verdict.value,
        "suite": [printable(result.scenario), printable(variant_label(result.axes))],
        "labels": {name: printable(value) for name, value in axis_texts(result.axes).items()},
        "tags": [printable(group) for group in result.groups],
        "extra": dict(_extra(result, record.run.given)),
    }
    if laps:
        test["start"] = _milliseconds(laps[0].begin)
        test["stop"] = _milliseconds(laps[-1].end)
        test["threadId"] = printable(f"{laps[-1].host} job {laps[-1].job}")
    if result.reason:
        test["message"] = printable(result.reason)
    if result.verdict is Verdict.FLAKY:
        test["flaky"] = True
    if len(result.attempts) > 1:
        test["retries"] = len(result.attempts) - 1
        test["retryAttempts"] = [_attempt(each, strict=record.strict) for each in result.attempts]
    if status == "failed" and result.artifacts:
        console = record.run.tail_of(result.artifacts, CONSOLE_FILE, CONSOLE_TAIL)
        test["stdout"] = decoded(console).splitlines()
        name = {"name": "console", "contentType": "text/plain"}
        test["attachments"] = [{**name, "path": printable(f"{result.artifacts}/{CONSOLE_FILE}")}]
    return test


def _extra(result: CaseRecord, run: Path) -> Iterator[tuple[str, Any]]:
    if result.accelerator:
        yield "accelerator", result.accelerator
    if result.command:
        yield "command", printable(result.command)
    if result.reused is not None:
        yield "reused", printable(reused_words(result.reused, run))
    if result.skip_cause:
        yield "skipCause", result.skip_cause.value
    if result.not_passed:
        yield "subtests", [printable(each.name) for each in result.not_passed[:200]]
    if result.metrics:
        yield "metrics", {printable(each.name): printable(each.words()) for each in result.metrics}


def _attempt(attempt: AttemptRecord, *, strict: bool) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "status": _status(attempt.verdict, strict=strict),
        "duration": _milliseconds(attempt.seconds),
        "message": printable(attempt.reason),
    }


def _status(verdict: Verdict, *, strict: bool) -> str:
    if verdict in (Verdict.SKIP, Verdict.XFAIL):
        return "skipped"
    return "failed" if counts_as_failure(verdict, strict=strict) else "passed"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
