"""The trace of a run: hosts and jobs are tracks; attempts, hops and phases lie in each other."""

import json
from typing import Any

import pytest

from matrix.migrating import Hop, HopEvent, HopOutcome, Sample, Strategy
from matrix.results.json_text import json_bytes
from matrix.results.timeline import timeline
from matrix.results.trace import trace_document
from tests import make
from tests.results.conftest import RunMaker


def events(recorder: Any, kind: str) -> list[dict[str, Any]]:
    document = json.loads(json_bytes(trace_document(recorder.record)))
    return [each for each in document["traceEvents"] if each["ph"] == kind]


def check_nesting(slices: list[dict[str, Any]]) -> None:
    """On a track a slice lies in another one or beside it: viewers show nothing else."""
    tracks: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for each in slices:
        tracks.setdefault((each["pid"], each["tid"]), []).append(each)
    for those in tracks.values():
        those.sort(key=lambda each: (each["ts"], -each["dur"]))
        open_: list[int] = []
        for each in those:
            while open_ and open_[-1] <= each["ts"]:
                open_.pop()
            end = each["ts"] + each["dur"]
            assert not open_ or end <= open_[-1]
            open_.append(end)


def test_hosts_and_jobs_are_tracks(recorded: RunMaker) -> None:
    recorder = recorded(
        [
            (make.run(make.case("a")), [make.attempt(host="local")]),
            (make.run(make.case("b")), [make.attempt("fail", "it \x07 fails", host="far")]),
            (make.skip(make.case("c")), []),
        ]
    )
    names = {
        each["pid"]: each["args"]["name"] for each in events(recorder, "M") if "tid" not in each
    }
    assert names == {1: "local (builder)", 2: "far"}
    good, bad = events(recorder, "X")
    assert (good["name"], good["cname"], good["ts"]) == ("smoke.a.x86_64.auto", "good", 0)
    assert (bad["pid"], bad["cname"], bad["args"]["reason"]) == (2, "terrible", "it \\x07 fails")


def hop(number: int, begun: float, **more: Any) -> Hop:
    return Hop(
        number=number,
        begun=begun,
        strategy=Strategy.PRECOPY,
        transport="unix",
        source="system 7.2",
        destination="system 7.2",
        outcome=HopOutcome.COMPLETED,
        good=True,
        **more,
    )


@pytest.mark.parametrize("seconds", [0.0, 1e-5, 1e6])
def test_hops_and_their_phases_lie_in_their_attempt(recorded: RunMaker, seconds: float) -> None:
    artifacts = "cases/one"
    recorder = recorded([(make.run(), [make.attempt(artifacts=artifacts)])])
    (lap,) = timeline(recorder.record)
    happened = (
        HopEvent(0.0, "source", "MIGRATION setup"),
        HopEvent(seconds / 4, "source", "MIGRATION active"),
        HopEvent(seconds / 2, "source", "STOP"),
        HopEvent(seconds * 2, "source", "MIGRATION completed"),
    )
    samples = (Sample(seconds / 3, "active", remaining=7),)
    hops = [hop(1, lap.begin, seconds=seconds, downtime=0.003, events=happened, samples=samples)]
    (recorder.run.path / artifacts).mkdir()
    lines = b"".join(json_bytes(each) + b"\n" for each in hops) + b"no hop\n"
    (recorder.run.path / artifacts / "hops.jsonl").write_bytes(lines)
    slices = events(recorder, "X")
    assert [each["name"] for each in slices] == [
        "smoke.boot.x86_64.auto",
        "hop 1 precopy unix",
        "setup",
        "active",
        "completed",
    ]
    check_nesting(slices)
    assert slices[1]["args"]["downtime ms"] == 3
    assert [each["name"] for each in events(recorder, "i")] == ["source: STOP"]
    assert [each["args"] for each in events(recorder, "C")] == [{"bytes": 7}]


def test_nothing_ran(recorded: RunMaker) -> None:
    assert events(recorded([(make.skip(make.case()), [])]), "X") == []
