"""Tests of what Prometheus is told."""

import math
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.attempt import Attempt, Reused
from matrix.inventory import Host
from matrix.migrating import Hop, HopOutcome, Limits, Strategy
from matrix.migration.hop_records import Records
from matrix.model import Accelerator, Architecture, Build, Case, Test, Variant
from matrix.plan.decisions import Run
from matrix.results.directory import RunDirectory
from matrix.results.recorder import Recorder
from matrix.results.run_info import RunInfo
from matrix.results.run_record import RunRecord
from matrix.run.metrics import Metrics
from matrix.run.progress import ConsoleTail, Running
from matrix.verdicts import Verdict
from tests import make

HOP = Hop(
    number=1,
    begun=0.0,
    strategy=Strategy.PRECOPY,
    transport="unix",
    source="system 7.2.22",
    destination="11.1 11.1.0",
    outcome=HopOutcome.COMPLETED,
    good=True,
    total_time=0.12,
    downtime=0.004,
    blackout=0.03,
    dirty_rate=1 << 20,
    throughput=64e6,
)


def scrape(metrics: Metrics) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}/metrics") as reply:
        lines = reply.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_counters_go_on_where_a_resumed_run_has_stopped(tmp_path: Path) -> None:
    case = Case(
        "soak.x",
        "soak",
        "s",
        Test("t", "/image"),
        Variant(Architecture.X86_64),
        Build(Architecture.X86_64, "/", "/"),
    )
    decision = Run(case, Accelerator.TCG, "", 1, 1)
    run = RunDirectory(tmp_path)
    record = RunRecord(run, RunInfo("", Host("", "", 1, 1)), [decision])
    hops = [HOP, replace(HOP, number=2, good=False, downtime=0.4), replace(HOP, number=3)]
    for folder, made in (("soak.x", hops[:2]), ("soak.x.interrupted-1", hops[2:])):
        (tmp_path / "cases" / folder).mkdir(parents=True)
        records = Records(tmp_path / "cases" / folder, 1, Limits())
        for hop in made:
            records.add(hop)
        records.close()
    with Metrics(":0") as metrics, Metrics(":0") as straight:
        metrics.resume(record)
        for each in (metrics, straight):
            each.hopped("soak.x", HOP)
        for hop in hops:
            straight.hopped("soak.x", hop)
        resumed, counted = scrape(metrics), scrape(straight)
    # When a counter was made is told, too; a value is exact to within 1 %.
    names = {name for name in counted if "created" not in name and "timestamp" not in name}
    assert {name: resumed[name] for name in names} == {
        name: pytest.approx(counted[name], rel=0.01) for name in names
    }
    assert resumed['matrix_hop_downtime_seconds_count{case="soak.x",strategy="precopy"}'] == 4


def test_hops_and_attempts_are_served() -> None:
    test, variant = Test("t", "/image"), Variant(Architecture.X86_64)
    case = Case("soak.x", "soak", "s", test, variant, Build(Architecture.X86_64, "/", "/"))
    decision = Run(case, Accelerator.TCG, "", 1, 1)
    running = Running(decision, 1, 0.0, ConsoleTail())
    with Metrics(":0") as metrics:
        metrics.hopped("soak.x", HOP)
        metrics.hopped("soak.x", HOP)
        metrics.finished(running, Attempt(1, Verdict.PASS, "", 1.0), None)
        found = scrape(metrics)
    labels = 'case="soak.x",outcome="completed",strategy="precopy",transport="unix"'
    assert found[f"matrix_hops_total{{{labels}}}"] == 2
    of = 'case="soak.x",strategy="precopy"'
    assert found[f"matrix_hop_downtime_seconds_count{{{of}}}"] == 2
    bucket = 'matrix_hop_downtime_seconds_bucket{case="soak.x",le="%s",strategy="precopy"}'
    assert found[bucket % "0.005"] == 2
    assert found[bucket % "0.002"] == 0
    assert found['matrix_guest_dirty_bytes_per_second{case="soak.x"}'] == 1 << 20
    assert found['matrix_attempts_total{verdict="pass"}'] == 1
    assert not any(name.startswith("matrix_hops_bad_total") for name in found)


def test_attempts_that_were_made_in_another_run_are_not_counted(tmp_path: Path) -> None:
    decisions = [make.run(make.case(name)) for name in ("a", "b")]
    reused = replace(make.attempt(), reused=Reused("../one", "", 0.5))
    with Recorder.start(tmp_path / "run", make.info(), decisions) as recorder:
        recorder.finish(decisions[0].case, make.attempt())
        recorder.finish(decisions[1].case, reused)
    with Metrics(":0") as metrics:
        metrics.resume(recorder.record)
        assert scrape(metrics)['matrix_attempts_total{verdict="pass"}'] == 1


def test_hosts_of_a_fleet_are_counted_apart() -> None:
    test, variant = Test("t", "/image"), Variant(Architecture.X86_64)
    case = Case("soak.x", "soak", "s", test, variant, Build(Architecture.X86_64, "/", "/"))
    running = Running(Run(case, Accelerator.TCG, "", 1, 1), 1, 0.0, ConsoleTail())
    attempt = Attempt(1, Verdict.PASS, "", 1.0, host="z1")
    with Metrics(":0") as metrics:
        metrics.finished(running, attempt, None)
        metrics.finished(running, replace(attempt, host="a1", verdict=Verdict.FAIL), None)
        metrics.host_lost("z1", "because")
        metrics.finished(running, attempt, None)  # what ran there went on
        found = scrape(metrics)
        metrics.host_back("z1")
        back = scrape(metrics)
    assert found['matrix_host_attempts_total{host="z1",verdict="pass"}'] == 2
    assert found['matrix_host_attempts_total{host="a1",verdict="fail"}'] == 1
    assert [found[f'matrix_host_used{{host="{name}"}}'] for name in ("z1", "a1")] == [0, 1]
    assert back['matrix_host_used{host="z1"}'] == 1


def test_a_bad_hop_is_counted_by_its_kind() -> None:
    bad = Hop(
        number=3,
        begun=0.0,
        strategy=Strategy.POSTCOPY,
        transport="tcp",
        source="",
        destination="",
        outcome=HopOutcome.LOST,
        good=False,
    )
    with Metrics("127.0.0.1:0") as metrics:
        metrics.hopped("soak.x", bad)
        found = scrape(metrics)
    labels = 'case="soak.x",fault="",outcome="lost",strategy="postcopy"'
    assert found[f"matrix_hops_bad_total{{{labels}}}"] == 1


def test_a_rate_that_was_not_measured_is_no_number() -> None:
    with Metrics(":0") as metrics:
        metrics.hopped("soak.x", HOP)
        metrics.hopped("soak.x", replace(HOP, dirty_rate=None, throughput=None))
        found = scrape(metrics)
    assert math.isnan(found['matrix_guest_dirty_bytes_per_second{case="soak.x"}'])
    assert math.isnan(found['matrix_hop_throughput_bytes_per_second{case="soak.x"}'])
