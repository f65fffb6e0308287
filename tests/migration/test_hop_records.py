"""hops.jsonl and migration.json."""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.migrating import Hop, HopEvent, HopOutcome, Limits, Migration, Sample, Strategy
from matrix.migration.folding import HOPS_FILE
from matrix.migration.hop_records import (
    Records,
    _downtime,
    measured,
    read_hops,
    read_statistics,
    write_summary,
)
from matrix.migration.live_hop import HopEnd
from matrix.migration.statistics import Statistics

HOP = Hop(
    number=1,
    begun=100.0,
    strategy=Strategy.PRECOPY,
    transport="unix",
    source="a 1",
    destination="b 2",
    outcome=HopOutcome.COMPLETED,
    good=True,
    seconds=0.5,
    downtime=0.01,
    events=(HopEvent(0.1, "source", "STOP"),),
    samples=(Sample(0.05, "active", remaining=7),),
)


def test_hops_are_read_back_as_they_were(tmp_path: Path) -> None:
    records = Records(tmp_path, 3, Limits())
    for number in (1, 2):
        records.add(replace(HOP, number=number))
        assert [hop.number for hop in read_hops(tmp_path / HOPS_FILE)][-1] == number
    summary = records.close()
    assert list(read_hops(tmp_path / HOPS_FILE)) == [HOP, replace(HOP, number=2)]
    assert (summary.hops, summary.seed) == (2, 3)
    write_summary(tmp_path, Migration(), summary)
    written = json.loads((tmp_path / "migration.json").read_text())
    assert written["summary"]["hops"] == 2
    assert written["migration"]["mode"] == "once"


def test_a_killed_chain_goes_on_counting(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    records = Records(first, 3, Limits())
    records.add(HOP)
    records.add(replace(HOP, number=2, begun=101.0))
    records.add(replace(HOP, number=3, begun=9000.0))  # it was dead in between
    records.close()
    resumed = Records(second, 3, Limits())
    earlier = resumed.resume(first / HOPS_FILE)
    assert (earlier.hops, earlier.last_number) == (3, 3)
    assert earlier.seconds == pytest.approx(0.5 + 1.0 + 20 + 0.5)
    resumed.add(replace(HOP, number=4))
    summary = resumed.close()
    assert summary.hops == 4
    assert summary.seconds >= 22
    assert [hop.number for hop in read_hops(second / HOPS_FILE)] == [1, 2, 3, 4]
    assert not (first / HOPS_FILE).exists()  # no second copy


SOAK = 100_000
"""Hops of two hours at twelve in a second: what is kept must not depend on their number."""


@pytest.mark.slow  # 100,000 hops take some 10 s, as what grows slowly shows only over many
def test_a_long_soak_has_bounded_records(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    unfolded = Statistics(Limits(downtime_max=0.5))
    records = Records(first, 3, Limits(downtime_max=0.5))
    draw = random.Random(1)
    sizes = []
    for number in range(1, SOAK + 1):
        worst = number == 777
        hop = replace(
            HOP,
            number=number,
            begun=100.0 + number,
            good=number % 10_000 != 0,
            reason="" if number % 10_000 else "broken",
            downtime=9.0 if worst else draw.random() / 10,
            total_time=0.1,
        )
        unfolded.add(hop)
        records.add(hop)
        if number == SOAK // 2:
            before = sys.getallocatedblocks()
            records.close()  # killed here, and gone on with
            sizes.append((first / HOPS_FILE).stat().st_size)
            records = Records(second, 3, Limits(downtime_max=0.5))
            earlier = records.resume(first / HOPS_FILE)
            assert (earlier.hops, earlier.last_number) == (number, number)
            assert earlier.seconds > 0
    summary = records.close()
    sizes.append((second / HOPS_FILE).stat().st_size)
    assert sys.getallocatedblocks() < before + SOAK // 10  # a hop that is kept is some 30
    assert replace(summary, seconds=0.0) == unfolded.summary(3, 0.0)
    assert max(sizes) < 3000 * 1000
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [HOPS_FILE]
    kept = [hop.number for hop in read_hops(second / HOPS_FILE)]
    assert kept == sorted(set(kept))
    assert {777, 10_000, *range(SOAK - 999, SOAK + 1)} <= set(kept)
    assert len(kept) < 3000
    again, _, ended = read_statistics(second / HOPS_FILE, Limits(downtime_max=0.5))
    assert again.summary(3, 0.0) == unfolded.summary(3, 0.0)
    assert json.dumps(again.state()) == json.dumps(unfolded.state())
    assert ended == 100.0 + SOAK + HOP.seconds


def test_a_line_that_is_cut_short_and_one_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / HOPS_FILE
    records = Records(tmp_path, 3, Limits())
    records.add(HOP)
    records.close()
    with path.open("ab") as file:
        file.write(b'{"number": 2')
    assert list(read_hops(path)) == [HOP]
    with path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ValueError, match=r"hops.jsonl:2: no record of a hop"):
        list(read_hops(path))


def test_a_rate_of_zero_was_not_measured() -> None:
    assert (measured(0), measured(0.0), measured(7)) == (None, None, 7)


@pytest.mark.parametrize(
    ("said", "in_postcopy", "told"),
    [
        (40, False, 0.04),
        (18_907_036, False, None),
        (None, False, None),
        (40, True, 0.04),
        (18_907_036, True, 0.0),  # 7.2, whose switchover took less than a millisecond
        (300, True, 0.0),  # the whole phase
    ],
)
def test_a_downtime_that_cannot_be(said: int | None, in_postcopy: bool, told: float | None) -> None:
    end = HopEnd(HopOutcome.COMPLETED)
    end.seconds, end.stop_to_resume = 0.35, 0.03
    end.information = {} if said is None else {"downtime": said}
    assert _downtime(end, None, in_postcopy=in_postcopy) == told
    if in_postcopy:
        assert _downtime(end, 0.002, in_postcopy=True) == 0.002
