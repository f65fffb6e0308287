"""What is read of the past, from both databases."""

import random
from typing import Any

import pytest

from matrix.errors import HostError
from matrix.inventory import Host
from matrix.migrating import MigrationSummary, Statistic
from matrix.model import Architecture
from matrix.results.history import query
from matrix.results.history.database import opened
from matrix.results.history.past import History
from matrix.results.history.place import Database
from matrix.results.history.query import read_eventful, read_history
from matrix.results.history.trend import flakiness, last_break
from matrix.results.history.writer import record_run
from matrix.results.run_info import HostInfo, QemuFingerprint
from tests import make
from tests.results.history.conftest import Nights


@pytest.fixture
def week(database: Database, night: Nights) -> Database:
    """Seven nights, recorded out of order: ``timer`` breaks in the fifth, with QEMU 10."""
    for day in (3, 1, 2, 4, 5, 7, 6):
        verdict = "fail" if day >= 5 else "pass"
        timer = make.attempt(
            verdict, f"day {day}", seconds=float(day), metrics=(("latency", day * 10.0, "ns"),)
        )
        record_run(
            database,
            night(
                {"timer": timer, "boot": make.attempt(), "mte": "no MTE"},
                day=day,
                qemu="10.0.2" if day >= 5 else "7.2.22",
                hostname="one" if day != 4 else "two",
            ),
        )
    record_run(database, night({"other": make.attempt()}, day=8, scenario="else"))
    return database


def ask(database: Database, *arguments: Any, **options: Any) -> History:
    with opened(database) as session:
        return read_history(session, *arguments, **options)


@pytest.mark.parametrize(("hops", "told"), [(19, ["max", "p50"]), (20, ["max", "p50", "p99"])])
def test_of_few_hops_there_is_no_percentile(
    database: Database, night: Nights, hops: int, told: list[str]
) -> None:
    statistic = Statistic("downtime", "s", hops, 0.1, 0.2, 0.3, 0.4)
    summary = MigrationSummary(hops, hops, 0, 0, 7, 60.0, (statistic,))
    record_run(database, night({"soak": make.attempt(migration=summary)}))
    (case,) = ask(database, "smoke.soak.x86_64.auto").cases
    names = [name for name, *_ in case.metrics or {} if name.startswith("downtime")]
    assert names == [f"downtime {each}" for each in told]


def test_one_case(week: Database) -> None:
    history = ask(week, "smoke.timer.x86_64.auto", last=2)
    (case,) = history.cases
    assert case.suite == "builtin"
    # More than the two that are shown: a case may have broken long ago.
    assert [entry.verdict.value for entry in case.entries] == ["pass"] * 4 + ["fail"] * 3
    assert [entry.run.started[8:10] for entry in case.entries] == [f"0{day}" for day in range(1, 8)]
    last = case.last
    assert (last.reason, last.seconds, last.accelerator) == ("day 7", 7.0, "tcg")
    assert (last.qemu_version, last.run.kernel, last.run.hostname) == ("10.0.2", "6.1.0", "one")
    assert [attempt.seconds for attempt in last.attempts] == [7.0]
    assert case.metrics == {("latency", "ns", 1): tuple((day * 10.0,) for day in range(1, 8))}
    assert history.runs_in_all == 8
    assert last.run.scenarios == ("smoke",)
    assert dict(last.run.counts) == {"fail": 1, "pass": 1, "skip": 1}


@pytest.mark.parametrize(
    ("pattern", "cases"),
    [
        ("timer", ["smoke.timer.x86_64.auto"]),
        ("smoke.*", ["smoke.boot", "smoke.mte", "smoke.timer"]),
        ("*.[bm]*.x86_64.auto", ["smoke.boot", "smoke.mte"]),
        ("", ["else.other", "smoke.boot", "smoke.mte", "smoke.timer"]),
        ("nonesuch", []),
        ("smoke.timer.x86_64.auto'; --", []),
    ],
)
def test_patterns(week: Database, pattern: str, cases: list[str]) -> None:
    found = [case.id.removesuffix(".x86_64.auto") for case in ask(week, pattern).cases]
    assert found == [case.removesuffix(".x86_64.auto") for case in cases]


def test_the_latest_runs_that_have_a_case(week: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "FEW", 0)
    history = ask(week, "timer", last=3)
    assert [run.started[8:10] for run in history.runs] == ["05", "06", "07"]
    assert [len(case.entries) for case in history.cases] == [3]
    assert history.cases[0].metrics == {}
    assert [run.started[8:10] for run in ask(week, "", last=2).runs] == ["07", "08"]


def test_many_cases_are_found_by_their_scenarios(
    week: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "FEW", 0)
    monkeypatch.setattr(query, "MOST_NAMES", 1)
    history = ask(week, "smoke.*", last=100)
    assert len(history.runs) == 7
    assert [len(case.entries) for case in history.cases] == [7, 7, 7]


def test_one_host(week: Database) -> None:
    history = ask(week, "timer", host="two")
    assert [entry.run.started[8:10] for entry in history.cases[0].entries] == ["04"]
    assert history.runs_in_all == 1
    assert ask(week, "timer", host="three").cases == ()


def test_a_case_of_another_host(database: Database, night: Nights) -> None:
    """Its environment is that host's, not that of the machine that the run was started on."""
    x86 = Architecture.X86_64
    far = HostInfo(
        "far",
        Host("x86_64", "6.6", 4, 2**33, cpu_model="Opteron"),
        (QemuFingerprint("system", x86, "/usr/bin/qemu", "11.1.0", ("kvm",)),),
    )
    tests = {"near": make.attempt("fail"), "far": make.attempt("fail", host="far")}
    record_run(database, night(tests, others=(far,)))
    with opened(database) as session:
        for history in (read_history(session), read_eventful(session)):
            found = {case.id.split(".")[1]: case.last for case in history.cases}
            entry = found["far"]
            facts = (entry.qemu_version, entry.kernel, entry.cpu_model)
            assert facts == ("11.1.0", "6.6", "Opteron")
            assert (found["near"].qemu_version, found["near"].kernel) == ("7.2.22", "6.1.0")


def test_eventful_cases_alone(week: Database) -> None:
    """What always passed or was always skipped is left out; all runs are there."""
    with opened(week) as session:
        history = read_eventful(session)
    assert [case.id for case in history.cases] == ["smoke.timer.x86_64.auto"]
    assert len(history.runs) == 8
    good, bad = history.cases[0].entries
    assert (good.verdict, good.runs, good.since, good.run) == ("pass", 4, *history.runs[:4:3])
    assert (bad.verdict, bad.runs, bad.since, bad.run) == ("fail", 3, *history.runs[4:7:2])
    assert (bad.accelerator, bad.qemu_version) == ("tcg", "10.0.2")


def test_runs_in_a_row_tell_what_each_of_them_does(database: Database, night: Nights) -> None:
    """What is concluded from entries of several runs is what those of each would tell."""
    chosen = random.Random(1)
    for day in range(1, 29):
        tests = {
            f"test{number}": "no such CPU"
            if chosen.random() < 0.1
            else [
                make.attempt("fail" if chosen.random() < 0.3 else "pass")
                for _ in range(chosen.choice((1, 1, 2)))
            ]
            for number in range(20)
        }
        record_run(database, night(tests, day=day, qemu="7" if day < 11 else "8"))
    with opened(database) as session:
        together, each = read_eventful(session, last=28), read_history(session, last=28)
    assert [case.id for case in together.cases] == [case.id for case in each.cases]
    for one, other in zip(together.cases, each.cases, strict=True):
        assert sum(entry.runs for entry in one.entries) == len(other.entries)
        assert flakiness(one.entries) == flakiness(other.entries)
        found, expected = last_break(one.entries), last_break(other.entries)
        assert (found is None) == (expected is None)
        if found and expected:
            assert found.differences == expected.differences
            assert (found.bad, found.fixed and found.fixed.run) == (
                expected.bad,
                expected.fixed and expected.fixed.run,
            )
            assert found.last_good.run == expected.last_good.run
            assert found.first_bad.run == expected.first_bad.run


def test_only_some_of_the_cases(week: Database) -> None:
    history = ask(week, last=20, only={"smoke.boot.x86_64.auto", "nonesuch"})
    assert [case.id for case in history.cases] == ["smoke.boot.x86_64.auto"]
    assert len(history.runs) == 8


def test_a_verdict_that_is_none_of_ours(week: Database) -> None:
    with opened(week, write=True) as session:
        session.write("UPDATE results SET verdict = 'splendid'")
    with pytest.raises(HostError, match="verdict 'splendid'"):
        ask(week, "timer")
    with pytest.raises(HostError, match="verdict 'splendid'"), opened(week) as session:
        read_eventful(session)
