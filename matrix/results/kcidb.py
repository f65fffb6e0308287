"""A run as KCIDB's I/O data, schema 5.3: what Linux' CI systems report to kernelci.org.

A build of tests, of a revision and for an architecture, is a ``build`` of a ``checkout``; a case is
a ``test``:

==================================  =====================================================
``pass``, ``xpass``                 ``PASS``
``fail timeout stall crash flaky``  ``FAIL``
``xfail``                           ``FAIL``, and ``misc.known_failure`` says of what
``skip``                            ``SKIP``
``error``                           ``MISS``: this host or program, not the test
==================================  =====================================================

A ``path`` has only letters, digits, ``_`` and ``-`` between its dots: other characters of a test's
name become ``_``. Ids of a run's objects begin with the origin and what is unique of the run.
"""

import math
import re
from datetime import UTC, datetime
from typing import Any

from matrix.errors import UsageError
from matrix.results.case_record import CaseRecord
from matrix.results.directory import CONSOLE_FILE
from matrix.results.labels import axis_texts
from matrix.results.printable import decoded, printable
from matrix.results.reused_words import reused_words
from matrix.results.run_record import RunRecord
from matrix.results.timeline import Lap, timeline
from matrix.verdicts import Verdict

ORIGIN = "matrix"
LONGEST_EXCERPT = 16384
"""Characters of ``log_excerpt``."""
STATUSES = {
    **dict.fromkeys(Verdict, "FAIL"),
    Verdict.PASS: "PASS",
    Verdict.XPASS: "PASS",
    Verdict.SKIP: "SKIP",
    Verdict.ERROR: "MISS",
}
_COMMIT = re.compile("[0-9a-f]{40}")


def kcidb_document(record: RunRecord, origin: str = ORIGIN) -> dict[str, Any]:
    """The finished cases of a run; ``origin`` is the CI system's name at KCIDB.

    Where ``kcidb-io`` is installed, what comes out is checked by its schema.

    Raises:
        UsageError: that cannot be an origin.
        HostError: the journal cannot be read.
    """
    if not re.fullmatch("[a-z0-9_]+", origin):
        raise UsageError(f"--origin {printable(origin)}: write lower-case letters, digits and _")
    laps: dict[str, Lap] = {}
    for lap in timeline(record):
        laps.setdefault(lap.case, lap)
    run = f"{origin}:{printable(record.info.hostname)}:{record.info.started}"
    if record.info.plan_sha256:
        run += f":{record.info.plan_sha256[:12]}"
    checkouts: dict[str, dict[str, Any]] = {}
    builds: dict[str, dict[str, Any]] = {}
    tests = []
    for result in record.results():
        checkout = f"{run}:{printable(result.suite)}:{printable(result.suite_revision)}"
        build = f"{checkout}:{result.axes.arch}"
        checkouts.setdefault(checkout, _checkout(record, result, checkout, origin))
        known = {"id": build, "origin": origin, "checkout_id": checkout}
        builds.setdefault(build, {**known, "architecture": str(result.axes.arch), "status": "PASS"})
        test = _test(record, result, laps.get(result.id))
        name = f"{run}:{printable(result.id)}"
        tests.append({"id": name, "origin": origin, "build_id": build, **test})
    document = {
        "version": {"major": 5, "minor": 3},
        "checkouts": list(checkouts.values()),
        "builds": list(builds.values()),
        "tests": tests,
    }
    _check(document)
    return document


def _checkout(record: RunRecord, result: CaseRecord, name: str, origin: str) -> dict[str, Any]:
    checkout = {
        "id": name,
        "origin": origin,
        "comment": printable(f"{result.suite} {result.suite_revision}".strip()),
        "start_time": _time(record.info.started),
        "valid": True,
    }
    if _COMMIT.fullmatch(result.suite_revision):
        checkout["git_commit_hash"] = result.suite_revision
    return {key: value for key, value in checkout.items() if value is not None}


def _test(record: RunRecord, result: CaseRecord, lap: Lap | None) -> dict[str, Any]:
    parts = (result.suite, result.scenario, *result.test.split("."))
    axes = {name: printable(value) for name, value in axis_texts(result.axes).items()}
    misc: dict[str, Any] = {"verdict": result.verdict.value, "axes": axes}
    test: dict[str, Any] = {
        "path": ".".join(re.sub("[^A-Za-z0-9_-]", "_", each) or "_" for each in parts),
        "comment": printable(result.id),
        "status": STATUSES[result.verdict],
        "duration": result.seconds,
        "misc": misc,
    }
    if result.reason:
        known = result.verdict is Verdict.XFAIL
        misc["known_failure" if known else "reason"] = printable(result.reason)
    if result.reused is not None:
        misc["reused"] = printable(reused_words(result.reused, record.run.given))
    if result.attempts:
        host = printable(result.host or "local")
        test["environment"] = {
            "comment": printable(f"{record.info.hostname}, {result.accelerator}"),
            "misc": {"host": host, "accelerator": result.accelerator},
        }
    if lap is not None:
        test["start_time"] = datetime.fromtimestamp(lap.begin, UTC).isoformat()
    numbers = {
        printable(each.name): {"value": each.value, "unit": printable(each.unit)}
        for each in result.metrics
        if each.value is not None and math.isfinite(each.value)
    }
    if numbers:
        misc["metrics"] = numbers
    if test["status"] in ("FAIL", "MISS") and result.artifacts:
        console = decoded(record.run.tail_of(result.artifacts, CONSOLE_FILE, LONGEST_EXCERPT))
        if console:
            test["log_excerpt"] = console[-LONGEST_EXCERPT:]
    return test


def _time(text: str) -> str | None:
    """A time with its zone, as the schema wants one; None where a stranger's run has none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.isoformat() if found.tzinfo is not None else None


def _check(document: dict[str, Any]) -> None:
    try:
        from kcidb_io.schema import V5_3
    except ImportError:  # the extra is not installed
        return
    V5_3.validate(document)
