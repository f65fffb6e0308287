"""A run as OpenTelemetry spans: run → case → attempt → hop → phase, as OTLP's JSON.

Ids follow from the run and from what a span is of: what is sent twice is the same spans. The format
is ``ExportTraceServiceRequest`` of opentelemetry-proto in protobuf's JSON, but that ids are in hex
("OTLP/HTTP", JSON Protobuf Encoding): collectors take it, without a library on this side.
"""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from matrix import __version__
from matrix.migrating import Hop
from matrix.results.case_record import AttemptRecord, CaseRecord
from matrix.results.labels import axis_texts
from matrix.results.outcome import counts_as_failure
from matrix.results.printable import printable
from matrix.results.run_record import RunRecord
from matrix.results.timeline import Lap, timeline
from matrix.results.trace import STATE, hop_times, hops_in, phases_of
from matrix.verdicts import Verdict

MOST_SPANS = 2_000
"""Of a request: some 2 MB; collectors refuse messages that are too large."""
INTERNAL = 1
"""``SPAN_KIND_INTERNAL``."""
ERROR = 2
"""``STATUS_CODE_ERROR``."""

Span = dict[str, Any]


def spans_document(record: RunRecord) -> dict[str, Any]:
    """All spans of the finished attempts. Raises HostError: the journal cannot be read."""
    return _request(record, list(_spans(record)))


def span_requests(record: RunRecord) -> Iterator[dict[str, Any]]:
    """The same in several requests. Raises as :func:`spans_document`."""
    spans = _spans(record)
    while some := list(islice(spans, MOST_SPANS)):
        yield _request(record, some)


def _request(record: RunRecord, spans: list[Span]) -> dict[str, Any]:
    info = record.info
    resource = {
        "service.name": "qemu-matrix",
        "service.version": info.tool_version,
        "host.name": info.hostname,
        "host.arch": info.host.architecture,
        "os.type": "linux",
        "os.version": info.host.kernel,
    }
    scope = {"name": "qemu-matrix", "version": __version__}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": scope, "spans": spans}],
            }
        ]
    }


def _spans(record: RunRecord) -> Iterator[Span]:
    laps = timeline(record)
    if not laps:
        return
    info = record.info
    run = _Ids(f"{info.hostname} {info.started} {info.plan_sha256}")
    begin, end = min(lap.begin for lap in laps), max(lap.end for lap in laps)
    known = {
        "matrix.run": str(record.given),
        "matrix.scenarios": "+".join(each.name for each in info.scenarios),
        "matrix.exit_code": int(record.exit_code()),
    }
    yield run.span("run", "", str(known["matrix.scenarios"] or "run"), begin, end, known)
    of_case: dict[str, list[Lap]] = {}
    for lap in laps:
        of_case.setdefault(lap.case, []).append(lap)
    for result in record.results(of_case):
        yield from _case(record, run, result, of_case[result.id])


def _case(record: RunRecord, run: "_Ids", result: CaseRecord, laps: list[Lap]) -> Iterator[Span]:
    axes = {f"matrix.axis.{name}": value for name, value in axis_texts(result.axes).items()}
    known = {
        "matrix.case": result.id,
        "matrix.scenario": result.scenario,
        "matrix.test": result.test,
        "matrix.verdict": result.verdict.value,
        **axes,
    }
    begin, end = min(lap.begin for lap in laps), max(lap.end for lap in laps)
    failed = _failure(result.verdict, result.reason, strict=record.strict)
    yield run.span(f"case {result.id}", "run", result.id, begin, end, known, failed)
    attempts = {each.number: each for each in result.attempts}
    for lap in laps:
        if (attempt := attempts.get(lap.attempt)) is not None:
            yield from _attempt(record, run, result.id, attempt, lap)


def _attempt(
    record: RunRecord, run: "_Ids", case: str, attempt: AttemptRecord, lap: Lap
) -> Iterator[Span]:
    known = {
        "matrix.verdict": attempt.verdict.value,
        "matrix.reason": attempt.reason,
        "matrix.accelerator": attempt.accelerator,
        "matrix.host": lap.host,
        "matrix.job": lap.job,
        "matrix.guest_seconds": attempt.seconds,
    }
    own, failed = (
        f"attempt {case} {lap.attempt}",
        _failure(attempt.verdict, attempt.reason, strict=record.strict),
    )
    name = f"attempt {lap.attempt}"
    yield run.span(own, f"case {case}", name, lap.begin, lap.end, known, failed)
    for hop in hops_in(record, attempt.artifacts):
        yield from _hop(run, own, hop, lap)


def _hop(run: "_Ids", attempt: str, hop: Hop, lap: Lap) -> Iterator[Span]:
    begin, end = hop_times(hop, lap)
    own = f"{attempt} hop {hop.number}"
    known = {
        "matrix.outcome": hop.outcome.value,
        "matrix.strategy": hop.strategy,
        "matrix.transport": hop.transport,
        "matrix.source": hop.source,
        "matrix.destination": hop.destination,
        "matrix.downtime_seconds": hop.downtime,
        "matrix.total_seconds": hop.total_time,
        "matrix.transferred_bytes": hop.transferred,
    }
    failed = None if hop.good else hop.reason or hop.outcome.value
    span = run.span(own, attempt, f"hop {hop.number}", begin, end, known, failed)
    span["events"] = [
        {
            "timeUnixNano": _nanoseconds(min(begin + max(each.at, 0), end)),
            "name": printable(f"{each.side}: {each.what}"),
        }
        for each in hop.events
        if not each.what.startswith(STATE)
    ]
    yield span
    for number, (state, start, stop) in enumerate(phases_of(hop, begin, end)):
        yield run.span(f"{own} {number}", own, state, start, stop, {})


def _failure(verdict: Verdict, reason: str, *, strict: bool) -> str | None:
    """Why a span is an error; None where it is none."""
    return (reason or verdict.value) if counts_as_failure(verdict, strict=strict) else None


class _Ids:
    """The trace of one run: each span has a name of its own in it."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._trace = hashlib.sha256(run.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def _id(self, own: str) -> str:
        text = f"{self._run}\n{own}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).hexdigest()[:16]

    def span(
        self,
        own: str,
        parent: str,
        name: str,
        begin: float,
        end: float,
        attributes: Mapping[str, object],
        failed: str | None = None,
    ) -> Span:
        """A span by its own name and its parent's in the trace; times are Unix times."""
        made: Span = {
            "traceId": self._trace,
            "spanId": self._id(own),
            "name": printable(name),
            "kind": INTERNAL,
            "startTimeUnixNano": _nanoseconds(begin),
            "endTimeUnixNano": _nanoseconds(end),
            "attributes": _attributes(attributes),
        }
        if parent:
            made["parentSpanId"] = self._id(parent)
        if failed is not None:
            made["status"] = {"code": ERROR, "message": printable(failed)}
        return made


def _attributes(known: Mapping[str, object]) -> list[dict[str, Any]]:
    return [
        {"key": printable(name), "value": _value(value)}
        for name, value in known.items()
        if value is not None and value != ""
    ]


def _value(value: object) -> dict[str, object]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": printable(str(value))}


def _nanoseconds(seconds: float) -> str:
    """Protobuf's JSON has 64-bit numbers as texts."""
    return str(round(seconds * 1e9))
