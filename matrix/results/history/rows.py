"""A run as rows of the history's tables: pure functions, but for the hops that they read.

What guests and strangers wrote is bounded and made storable: PostgreSQL takes no NUL in a text, no
database an infinite number or an integer of more than 64 bits.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields

from matrix.migrating import Hop, MigrationSummary
from matrix.model import Case
from matrix.results.case_record import AttemptRecord, CaseRecord
from matrix.results.fingerprint import RunInfo, utc_now
from matrix.results.history.hops import kept_hops
from matrix.results.history.key import run_key, sortable, started
from matrix.results.history.session import Row
from matrix.results.record import RunRecord

LONGEST_TEXT = 2000
"""Characters of a reason, a name or a message; the run's artifacts have the rest."""

LONGEST_LIST = 100_000
"""Characters of what is kept as JSON: arguments, broken limits."""

MOST_SUBTESTS = 100
"""Of an attempt, those that did not pass; the others are counted."""

MOST_MEASUREMENTS = 1000
"""Of an attempt."""

Rows = tuple[str, Row]
"""The name of a table, and one row for it."""

_NOT_KEPT = ("events", "samples", "machine", "clock_step", "suspended")
"""Of a hop: what is long, and what is of the host, which hops.jsonl has."""
_HOP_COLUMNS = tuple(each.name for each in fields(Hop) if each.name not in _NOT_KEPT)


def run_row(record: RunRecord) -> Row:
    """The row of ``runs``, without its ``id``.

    Raises:
        UsageError: ``run.json`` is broken.
        HostError: it cannot be read.
    """
    info, host = record.info, record.info.host
    return {
        "key": run_key(record),
        "started": sortable(started(record)),
        "recorded": utc_now(),
        "finished": not record.unfinished(),
        "exit_code": int(record.exit_code()),
        "elapsed": _finite(record.elapsed) or 0.0,
        "directory": storable(str(record.run.path)),
        "tool_version": storable(info.tool_version),
        "hostname": storable(info.hostname),
        "host_architecture": storable(host.architecture),
        "host_kernel": storable(host.kernel),
        "host_cpus": _integer(host.cpus) or 0,
        "host_memory": _integer(host.memory) or 0,
        "cpu_vendor": storable(host.cpu_vendor),
        "cpu_model": storable(host.cpu_model),
        "kvm_device": storable(host.kvm_device),
        "arguments": _json(list(info.arguments)),
    }


def fingerprint_rows(info: RunInfo) -> Iterator[Rows]:
    """Rows of ``scenarios``, ``binaries`` and ``proofs``, without the run; the last of several
    with the same key."""
    scenarios: dict[object, Row] = {
        storable(source.name): {
            "name": storable(source.name),
            "file": storable(source.file),
            "sha256": storable(source.sha256),
        }
        for source in info.scenarios
    }
    binaries: dict[object, Row] = {
        (storable(binary.qemu), binary.architecture): {
            "qemu": storable(binary.qemu),
            "architecture": binary.architecture.value,
            "path": storable(binary.path),
            "version": storable(binary.version),
            "accelerators": storable(" ".join(binary.accelerators)),
            "sha256": storable(binary.sha256),
        }
        for binary in info.binaries
    }
    proofs: dict[object, Row] = {
        (storable(proof.qemu), proof.architecture, storable(proof.cpu)): {
            "qemu": storable(proof.qemu),
            "architecture": proof.architecture.value,
            "cpu": storable(proof.cpu),
            "state": proof.state.value,
            "reason": storable(proof.reason),
        }
        for proof in info.proofs
    }
    for table, rows in (("scenarios", scenarios), ("binaries", binaries), ("proofs", proofs)):
        yield from ((table, row) for row in rows.values())


def case_row(case: Case, seconds: float | None, at: str) -> Row:
    """The row of ``cases``, without its ``id``; ``seconds`` is what an attempt took."""
    seconds = _finite(seconds)
    return {
        "case_id": storable(case.id),
        "scenario": storable(case.scenario),
        "suite": storable(case.suite),
        "test": storable(case.test.name),
        "axes": _json(case.variant.axes()),
        "seconds": seconds,
        "seconds_at": at if seconds is not None else None,
    }


def result_rows(record: RunRecord, result: CaseRecord) -> Iterator[Rows]:
    """All rows of one case of a run, without the numbers of both, parents first. Those of
    ``measurements`` have ``name`` and ``unit`` in the place of ``metric``."""
    yield (
        "results",
        {
            "verdict": result.verdict.value,
            "reason": storable(result.reason),
            "seconds": _finite(result.seconds) or 0.0,
            "accelerator": storable(result.accelerator),
            "qemu_version": storable(
                record.info.qemu_version(result.axes.qemu, result.axes.arch, result.host)
            ),
            "suite_revision": storable(result.suite_revision),
            "skip_cause": result.skip_cause,
        },
    )
    for attempt in result.attempts:
        yield from _attempt_rows(record, result, attempt)


def storable(text: str, longest: int = LONGEST_TEXT) -> str:
    """``text`` as both databases take it, cut to a length."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    if text.isprintable():
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _attempt_rows(record: RunRecord, result: CaseRecord, attempt: AttemptRecord) -> Iterator[Rows]:
    yield (
        "attempts",
        {
            "number": attempt.number,
            "verdict": attempt.verdict.value,
            "seconds": _finite(attempt.seconds) or 0.0,
            "reason": None if attempt.reason == result.reason else storable(attempt.reason),
            "accelerator": storable(attempt.accelerator),
            "subtest_counts": _json({v.value: n for v, n in attempt.subtest_counts.items()}),
        },
    )
    for table, row in _detail_rows(record, attempt):
        yield table, {"attempt": attempt.number, **row}


def _detail_rows(record: RunRecord, attempt: AttemptRecord) -> Iterator[Rows]:
    for position, subtest in enumerate(attempt.not_passed[:MOST_SUBTESTS], start=1):
        yield (
            "subtests",
            {
                "position": position,
                "name": storable(subtest.name),
                "verdict": subtest.verdict.value,
                "message": storable(subtest.message),
            },
        )
    yield from (("measurements", row) for row in _measurements(attempt))
    if attempt.hops is not None:
        yield "migrations", _migration_row(attempt.hops)
        for row in _statistic_rows(attempt.hops):
            yield "statistics", row
        for number, hop in {hop.number: hop for hop in kept_hops(record.run, attempt)}.items():
            yield "hops", {**_hop_row(hop), "number": number}


def _measurements(attempt: AttemptRecord) -> Iterator[Row]:
    seen: dict[tuple[str, str], int] = {}
    for metric in attempt.metrics[:MOST_MEASUREMENTS]:
        key = (storable(metric.name), storable(metric.unit))
        ordinal = seen[key] = seen.get(key, 0) + 1
        if metric.value is not None:
            yield {"name": key[0], "unit": key[1], "ordinal": ordinal, "value": metric.value}


def _migration_row(summary: MigrationSummary) -> Row:
    return {
        "hops": _integer(summary.hops) or 0,
        "completed": _integer(summary.completed) or 0,
        "as_expected": _integer(summary.as_expected) or 0,
        "bad": _integer(summary.bad) or 0,
        "seed": str(summary.seed)[:100],
        "seconds": _finite(summary.seconds) or 0.0,
        "broken": _json(list(summary.broken)),
    }


def _statistic_rows(summary: MigrationSummary) -> Iterator[Row]:
    for statistic in {storable(each.name): each for each in summary.statistics}.values():
        row: Row = asdict(statistic)
        del row["min"]
        # The columns take no null: the greatest stands for a percentile of too few, unread.
        p90, p99 = (
            statistic.max if each is None else each for each in (statistic.p90, statistic.p99)
        )
        row |= {"p90": p90, "p99": p99}
        numbers = (statistic.p50, p90, p99, statistic.max)
        if all(map(math.isfinite, numbers)):
            yield {**row, "name": storable(statistic.name), "unit": storable(statistic.unit)}


def _hop_row(hop: Hop) -> Row:
    values: Mapping[str, object] = {name: getattr(hop, name) for name in _HOP_COLUMNS}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    match value:
        case bool() | None:
            return value
        case str():
            return storable(str(value))
        case float():
            return value if math.isfinite(value) else None
        case int():
            return _integer(value)
        case _:
            return None


def _integer(value: int) -> int | None:
    return value if abs(value) < 2**63 else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= LONGEST_LIST else json.dumps(None)
