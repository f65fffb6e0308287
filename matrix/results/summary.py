"""``results.json`` and each case's ``result.json``: the contract with other programs.

``results.json`` is ``{"format": 1, "run": {…}, "cases": […], "counts": {VERDICT: N}, "exit_code":
N, "shortfalls": […], "unfinished": […]}``; ``matrix schema results`` prints its schema. ``run``
says when and where the cases were run, with which QEMUs, by which command; ``shortfalls`` says in
words what had to run and did not. Paths are relative to the run directory. A case has

``id``, ``scenario``, ``suite``, ``test``, ``axes``
    what was run; ``axes`` are those that the matrix gives, sizes in bytes.
``verdict``, ``reason``, ``seconds``
    what it came to; over all attempts, where there are several.
``skip_cause``
    of a skip: ``scenario`` (left out with a reason), ``nodefault``, ``no-build``, ``no-qemu``,
    ``no-accelerator``, ``test`` (not for this variant), ``unsupported`` (by its QEMU), ``host``
    (which lacks firmware, huge pages, …), ``refused`` (by QEMU when it was started), ``guest``
    (skipped itself); else null.
``accelerator``, ``accelerator_reason``
    what it ran under, and why.
``subtest_counts``, ``subtests``, ``subtests_dropped``, ``metrics``, ``command``, ``artifacts``
    of the attempt that speaks for the case, the first of the worst verdict. ``subtests`` are those
    that did not pass; ``result.json`` has all.
``assists``
    ``{DEED: N}``: what was done to that attempt's guest so that QEMU works faster, and how often:
    ``calc-dirty-rate``, or ``migrate-to-nobody`` (``stop``, a migration to ``/dev/null`` that is
    cancelled, ``cont``). Empty: it was left alone, as with ``--no-assist``.
``hops``
    what the live migrations of that attempt came to, or null: ``hops``, ``completed``,
    ``as_expected`` (with a fault, as they had to end), ``bad``, ``seed``, ``seconds``, the
    ``statistics`` (``name``, ``unit``, ``count``, ``min``, ``p50``, ``p90``, ``p99``, ``max``;
    p90 and p99 null of fewer than 20 values), and limits that were ``broken``. Each hop is a line
    of ``hops.jsonl`` in ``artifacts``.
``attempts``
    ``{"number", "verdict", "reason", "seconds", "metrics", "hops", "artifacts", "assists"}`` of
    each attempt.
"""

from matrix.attempt import Attempt
from matrix.errors import ExitCode
from matrix.model import Subtest
from matrix.results.case_record import (
    FORMAT,
    AttemptRecord,
    CaseRecord,
    MetricRecord,
    RunData,
)
from matrix.results.directory import COMMAND_FILE
from matrix.results.files import written_atomically
from matrix.results.fingerprint import RunInfo
from matrix.results.json_text import json_bytes
from matrix.results.outcome import CaseResult
from matrix.results.record import RunRecord


def write_results(record: RunRecord) -> ExitCode:
    """Write ``results.json`` from what is finished so far, holding one case at a time in memory.

    Returns:
        What the command ends with.

    Raises:
        HostError: it cannot be written, or the journal cannot be read.
    """
    code = record.exit_code()
    with written_atomically(record.run.path / "results.json", durable=True) as file:
        file.write(b'{"format": %d,\n"run": %s' % (FORMAT, json_bytes(_run_data(record.info))))
        file.write(b',\n"cases": [')
        separator = b"\n"
        for result in record.results():
            file.write(separator + json_bytes(case_document(result), nonfinite="null"))
            separator = b",\n"
        counts = {verdict.value: count for verdict, count in record.counts().items()}
        unfinished = record.unfinished()
        file.write(b'\n],\n"counts": ' + json_bytes(counts))
        file.write(b',\n"exit_code": ' + json_bytes(int(code)))
        file.write(b',\n"shortfalls": ' + json_bytes(record.shortfalls()))
        file.write(b',\n"unfinished": ' + json_bytes(unfinished) + b"}\n")
    return code


def case_document(result: CaseResult, *, all_subtests: bool = False) -> CaseRecord:
    """A case as it stands in ``results.json``, or with all its subtests in ``result.json``."""
    case, telling = result.case, result.telling
    subtests: tuple[Subtest, ...] = result.not_passed
    if all_subtests:
        subtests = telling.subtests if telling else ()
    return {
        "id": case.id,
        "scenario": case.scenario,
        "suite": case.suite,
        "test": case.test.name,
        "axes": case.variant.axes(),
        "verdict": result.verdict,
        "reason": result.reason,
        "skip_cause": result.skip_cause,
        "seconds": round(result.seconds, 6),
        "accelerator": result.accelerator,
        "accelerator_reason": telling.accelerator_reason if telling else "",
        "subtest_counts": dict(telling.subtest_counts) if telling else {},
        "subtests_dropped": telling.subtests_dropped if telling else 0,
        "subtests": subtests,
        "metrics": _metrics(telling) if telling else [],
        "assists": dict(telling.assists) if telling else {},
        "hops": telling.migration if telling else None,
        "command": f"{telling.artifacts}/{COMMAND_FILE}" if telling and telling.command else "",
        "artifacts": telling.artifacts if telling else "",
        "attempts": [_attempt_document(each) for each in result.attempts],
    }


def _run_data(info: RunInfo) -> RunData:
    return {
        "started": info.started,
        "tool_version": info.tool_version,
        "hostname": info.hostname,
        "host": info.host,
        "binaries": info.binaries,
        "arguments": info.arguments,
    }


def _attempt_document(attempt: Attempt) -> AttemptRecord:
    return {
        "number": attempt.number,
        "verdict": attempt.verdict,
        "reason": attempt.reason,
        "seconds": round(attempt.seconds, 6),
        "metrics": _metrics(attempt),
        "hops": attempt.migration,
        "artifacts": attempt.artifacts,
        "assists": dict(attempt.assists),
    }


def _metrics(attempt: Attempt) -> list[MetricRecord]:
    return [{"name": name, "value": value, "unit": unit} for name, value, unit in attempt.metrics]
