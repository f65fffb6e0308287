"""What is read of the past, from both databases."""

from typing import Any

import pytest

from matrix.errors import HostError
from matrix.migrating import MigrationSummary, Statistic
from matrix.results.history import query, schema
from matrix.results.history.past import History
from matrix.results.history.place import Database
from matrix.results.history.query import read_history
from matrix.results.history.record import record_run
from matrix.results.history.store import opened


@pytest.fixture
def week(database: Database, make: Any, night: Any) -> Database:
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
    with opened(database) as connection:
        return read_history(connection, *arguments, **options)


@pytest.mark.parametrize(("hops", "told"), [(19, ["max", "p50"]), (20, ["max", "p50", "p99"])])
def test_of_few_hops_there_is_no_percentile(
    database: Database, make: Any, night: Any, hops: int, told: list[str]
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


def test_eventful_cases_alone(week: Database) -> None:
    """What always passed or was always skipped is left out; all runs are there."""
    history = ask(week, eventful=True)
    assert [case.id for case in history.cases] == ["smoke.timer.x86_64.auto"]
    assert len(history.runs) == 8


def test_a_verdict_that_is_none_of_ours(week: Database) -> None:
    with opened(week, write=True) as connection:
        connection.execute(schema.results.update().values(verdict="splendid"))
    with pytest.raises(HostError, match="verdict 'splendid'"):
        ask(week, "timer")
