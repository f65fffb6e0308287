"""The spans of a run: each in its parent, by ids that do not change, in OTLP's JSON."""

import json
from base64 import b64encode
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from matrix.migrating import Hop, HopEvent, HopOutcome, Strategy
from matrix.results.json_text import json_bytes
from matrix.results.recorder import Recorder
from matrix.results.spans import ERROR, MOST_SPANS, span_requests, spans_document
from matrix.results.timeline import timeline
from tests import make
from tests.results.conftest import RunMaker


def in_protobufs_json(document: Any) -> Any:
    """OTLP's JSON with its ids as protobuf has bytes, which is the one difference of the two."""
    if isinstance(document, list):
        return [in_protobufs_json(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {
        name: b64encode(bytes.fromhex(value)).decode()
        if name in ("traceId", "spanId", "parentSpanId")
        else in_protobufs_json(value)
        for name, value in document.items()
    }


def published(document: dict[str, Any]) -> ExportTraceServiceRequest:
    """What the published format reads of it. Raises ParseError: it has no such field or value."""
    request = ExportTraceServiceRequest()
    ParseDict(in_protobufs_json(document), request)
    return request


def spans(recorder: Recorder) -> list[dict[str, Any]]:
    document = json.loads(json_bytes(spans_document(recorder.record)))
    published(document)
    (resource,) = document["resourceSpans"]
    (scope,) = resource["scopeSpans"]
    found: list[dict[str, Any]] = scope["spans"]
    return found


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def test_run_case_attempt_hop_phase(recorded: RunMaker) -> None:
    artifacts = "cases/one"
    recorder = recorded(
        [
            (make.run(), [make.attempt(artifacts=artifacts)]),
            (make.run(make.case("bad")), [make.attempt("fail", "it \x07 fails")]),
            (make.skip(make.case("skipped")), []),
        ]
    )
    lap = timeline(recorder.record)[0]
    hop = Hop(
        number=1,
        begun=lap.begin,
        strategy=Strategy.PRECOPY,
        transport="unix",
        source="system 7.2",
        destination="system 7.2",
        outcome=HopOutcome.FAILED,
        good=False,
        seconds=0.0,
        reason="it broke",
        events=(HopEvent(0.0, "source", "MIGRATION active"), HopEvent(0.0, "source", "STOP")),
    )
    (recorder.run.path / artifacts).mkdir()
    (recorder.run.path / artifacts / "hops.jsonl").write_bytes(json_bytes(hop) + b"\n")
    found = spans(recorder)
    names = {each["spanId"]: each["name"] for each in found}
    # Cases come as they began; of two that are recorded at once either may be the first.
    bad = {each["spanId"] for each in found if each["name"].startswith("smoke.bad.")}
    found.sort(key=lambda each: not bad.isdisjoint((each["spanId"], each.get("parentSpanId"))))
    assert [(each["name"], names.get(each.get("parentSpanId", ""))) for each in found] == [
        ("smoke", None),
        ("smoke.boot.x86_64.auto", "smoke"),
        ("attempt 1", "smoke.boot.x86_64.auto"),
        ("hop 1", "attempt 1"),
        ("active", "hop 1"),
        ("smoke.bad.x86_64.auto", "smoke"),
        ("attempt 1", "smoke.bad.x86_64.auto"),
    ]
    assert len(names) == len(found)
    assert {each["traceId"] for each in found} == {found[0]["traceId"]}
    assert (len(found[0]["traceId"]), len(found[0]["spanId"])) == (32, 16)
    inner = {each["spanId"]: each for each in found}
    for each in found[1:]:
        parent = inner[each["parentSpanId"]]
        assert int(parent["startTimeUnixNano"]) <= int(each["startTimeUnixNano"])
        assert int(each["endTimeUnixNano"]) <= int(parent["endTimeUnixNano"])
    assert found[3]["status"] == {"code": ERROR, "message": "it broke"}
    assert [each["name"] for each in found[3]["events"]] == ["source: STOP"]
    assert found[5]["status"] == {"code": ERROR, "message": "it \\x07 fails"}
    assert "status" not in found[1]
    assert attributes(found[1])["matrix.axis.arch"] == "x86_64"
    assert all(each in spans(recorder) for each in found)
    (read,) = published(spans_document(recorder.record)).resource_spans[0].scope_spans
    assert read.scope.name == "qemu-matrix"
    (root,) = (each for each in read.spans if not each.parent_span_id)
    assert (len(root.trace_id), len(root.span_id), root.kind) == (16, 8, root.SPAN_KIND_INTERNAL)
    assert 0 < root.start_time_unix_nano <= root.end_time_unix_nano
    (broken,) = (each for each in read.spans if each.name == "hop 1")
    assert (broken.status.code, broken.status.message) == (
        broken.status.STATUS_CODE_ERROR,
        "it broke",
    )
    values = {each.key: each.value for each in broken.attributes}
    assert values["matrix.strategy"].string_value == "precopy"
    assert [each.name for each in broken.events] == ["source: STOP"]


def test_many_are_several_requests(recorded: RunMaker) -> None:
    count = MOST_SPANS // 2
    cases = [(make.run(make.case(f"t{number}")), [make.attempt()]) for number in range(count)]
    requests = list(span_requests(recorded(cases).record))
    sizes = [len(each["resourceSpans"][0]["scopeSpans"][0]["spans"]) for each in requests]
    assert sizes == [MOST_SPANS, 1]


def test_nothing_ran(recorded: RunMaker) -> None:
    assert spans(recorded([(make.skip(make.case()), [])])) == []
