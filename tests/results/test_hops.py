"""Tests of what a summary says of hops."""

from dataclasses import replace

import pytest

from matrix.migrating import Hop, HopOutcome, Migration, MigrationSummary, Statistic, Strategy
from matrix.results.hops import hop_lines, quantity, running_summaries, summary_lines
from matrix.results.segments import plain
from tests import make
from tests.results.conftest import RunMaker

SUMMARY = MigrationSummary(
    hops=1200,
    completed=1190,
    as_expected=10,
    bad=0,
    seed=7,
    seconds=1800.0,
    statistics=(
        Statistic("downtime", "s", 1190, 0.0031, 0.0042, 0.012, 0.25, 0.002),
        Statistic("throughput", "B/s", 1190, 1.25e9, 2e9, 2e9, 2e9),
    ),
)

TOLD = """
Migration: 1,200 hops of 1 guest: 1,190 completed, 10 with a fault as expected, none bad
  soak.x
    1,200 hops, 1,190 completed, 39.7 per minute; seed 7
                        hops       min    median       p90       p99       max
    downtime           1,190    2.0 ms    3.1 ms    4.2 ms   12.0 ms  250.0 ms
    throughput         1,190         -  1.2 GB/s  2.0 GB/s  2.0 GB/s  2.0 GB/s
"""


def test_a_soak() -> None:
    assert plain(hop_lines([("soak.x", SUMMARY)], 100)) == TOLD


def test_of_few_hops_no_percentiles_are_told_nor_a_rate_that_was_not_measured() -> None:
    few = MigrationSummary(
        3, 3, 0, 0, 7, 0.0, (Statistic("stop-to-resume", "s", 19, 0.2, 0.3, 0.4, 0.5, 0.1),)
    )
    told, _, row = plain(summary_lines(few, 80)).splitlines()
    assert told.split(", ", 2)[2] == "rate not measured; seed 7"
    assert " ".join(row.split()) == "stop-to-resume 19 100.0 ms 200.0 ms - - 500.0 ms"
    assert len(row) <= 80


BROKEN = MigrationSummary(3, 3, 0, 0, 1, 2.0, broken=("hop 2: downtime 0.500 s, more than 0.3",))


def test_broken_limits_are_named() -> None:
    assert "limit broken: hop 2: downtime" in plain(summary_lines(BROKEN, 80))


DEVICES = """
    state of                                saved in           loaded in
                                    median       max    median       max
    ram                             1.0 ms    2.0 ms    3.0 ms    4.0 ms
    0000:00:02.0/virtio-net-th…          -         -    2.0 ms    2.5 ms
    d0                               12 us     30 us         -         -
"""


def test_devices_are_told_of_those_that_take_longest_first() -> None:
    """Over all their instances, and by name also who tells of none."""

    def time(name: str, median: float, most: float) -> Statistic:
        return Statistic(name, "s", 3, median, None, None, most)

    devices = (
        *(time(f"d{number} save", 12e-6, 30e-6) for number in range(9)),
        time("0000:00:02.0/virtio-net-that-is-long load", 2e-3, 2.5e-3),
        time("ram save", 1e-3, 2e-3),
        time("ram load", 3e-3, 4e-3),
    )
    summary = replace(BROKEN, devices=devices, untraced=("QEMU a 7.2 has no trace events x_*",))
    told = plain(summary_lines(summary, 80))
    assert DEVICES.strip("\n") in told
    assert told.endswith(
        "    and 1 more, whose medians add up to 12 us\n"
        "    not told by device: QEMU a 7.2 has no trace events x_*\n"
    )
    assert max(map(len, told.splitlines())) <= 80


def test_many_guests_are_only_counted() -> None:
    text = plain(hop_lines([(f"soak.{n}", SUMMARY) for n in range(100)], 80))
    assert text.startswith("\nMigration: 120,000 hops of 100 guests: 119,000 completed")
    assert text.count("\n") == 2


def test_nothing_is_said_where_nothing_was_migrated() -> None:
    assert plain(hop_lines([], 80)) == ""


def test_bad_hops_are_counted() -> None:
    bad = MigrationSummary(3, 1, 0, 2, 1, 2.0)
    assert "1 completed, 2 bad" in plain(hop_lines([("soak.x", bad)], 80))


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (0.0, "s", "0.0 ms"),
        (0.00042, "s", "420 us"),
        (0.0123, "s", "12.3 ms"),
        (12.0, "s", "12.00 s"),
        (999, "B", "999 B"),
        (67e6, "B/s", "67.0 MB/s"),
        (240.4e6, "B/s", "240 MB/s"),
        (999.9e6, "B/s", "1000 MB/s"),
        (3, "", "3"),
        (20, "%", "20 %"),
    ],
)
def test_quantities(value: float, unit: str, told: str) -> None:
    assert quantity(value, unit) == told


def test_a_soak_that_runs_is_told_from_its_hops_on_disk(recorded: RunMaker) -> None:
    from dataclasses import replace

    from pydantic import TypeAdapter

    decision = make.run(make.case("soak"))
    case = replace(decision.case, migration=Migration())
    recorder = recorded([(replace(decision, case=case), [])])
    folder = recorder.begin(case, 1)
    hop = Hop(1, 100.0, Strategy.PRECOPY, "unix", "a", "b", HopOutcome.COMPLETED, good=True)
    lines = [
        TypeAdapter(Hop).dump_json(replace(hop, number=n, begun=100.0 + n, seconds=0.5))
        for n in (1, 2, 3)
    ]
    (folder / "hops.jsonl").write_bytes(b"\n".join(lines) + b'\n{"number": 4, "cut')
    ((case_id, summary),) = running_summaries(recorder.record)
    assert (case_id, summary.hops, summary.seconds) == (case.id, 3, 2.5)
    (folder / "hops.jsonl").write_text("nonsense\n")
    assert list(running_summaries(recorder.record)) == []
