"""A recorded run compares as its directory would."""

from dataclasses import replace
from typing import Any

import pytest

from matrix.errors import HostError, UsageError
from matrix.migrating import MigrationSummary, Statistic
from matrix.results.compare.case_comparison import compare_cases
from matrix.results.compare.matching import pair_runs
from matrix.results.compare.measured import Thresholds
from matrix.results.history.baseline import recorded_run
from matrix.results.history.database import opened
from matrix.results.history.place import Database
from matrix.results.history.writer import record_run
from matrix.verdicts import SkipCause
from tests import make
from tests.results.history.conftest import Nights


def ask(database: Database, name: str, **options: Any) -> Any:
    with opened(database) as session:
        return recorded_run(session, name, **options)


def test_a_run_and_its_record_are_the_same(database: Database, night: Nights) -> None:
    summary = MigrationSummary(
        hops=200,
        completed=150,
        as_expected=50,
        bad=0,
        seed=7,
        seconds=60.0,
        statistics=(Statistic("downtime", "s", 150, 0.1, 0.2, 0.3, 0.4),),
        broken=("downtime p99: 0.3 s, at most 0.2 s (hop 7)",),
    )
    bad = make.attempt(
        "fail",
        "2 of 4",
        subtests=["PASS: a", "FAIL: a: 12 ms", "PASS: a", "SKIP: b: slow", "FAIL: c"],
        metrics=(("m", 1.0, "s"), ("m", 2.0, "s"), ("other", 3.0, "")),
    )
    record = night(
        {
            "bad": [bad, make.attempt(seconds=2.0), bad],
            "soak": make.attempt(migration=summary),
            "left": "no such CPU",
            "refused": make.attempt("skip", "no such device", skip_cause=SkipCause.REFUSED),
            "good": make.attempt(subtests=["PASS: x"] * 300),
        },
        revision="0123456789" * 4,
    )
    key, _ = record_run(database, record)
    stored = ask(database, f"history:{key}")
    for pairing in (pair_runs(stored, record), pair_runs(record, stored)):
        assert pairing.environment == ()
        cases = list(compare_cases(pairing, Thresholds()))
        assert [case.id for case in cases if case.changed or case.differences] == []
    results = {result.test: result for result in stored.results()}
    assert results["soak"].attempts[0].hops == summary
    assert results["refused"].skip_cause is SkipCause.REFUSED
    assert results["left"].skip_cause is results["good"].skip_cause is None
    assert [each.reason for each in results["bad"].attempts] == ["2 of 4", "", "2 of 4"]
    metrics = [(each.name, each.value, each.unit) for each in results["bad"].attempts[0].metrics]
    assert metrics == list(bad.metrics)


def test_which_run_is_meant(database: Database, night: Nights) -> None:
    tests = {"one": make.attempt()}
    keys = [record_run(database, night(tests, day=day))[0] for day in (1, 2, 3)]
    other, _ = record_run(database, night(tests, day=4, scenario="else"))
    unfinished, _ = record_run(database, night({"one": make.attempt(), "two": None}, day=5))

    def key(name: str, **options: Any) -> str:
        return str(ask(database, name, **options).given).removeprefix("history:")

    assert key(f"history:{keys[1]}") == keys[1]
    assert key(f"history:{keys[1][:8]}") == keys[1]
    assert key("history:latest") == other
    assert key("history:latest:smoke") == keys[2]
    assert key("history:latest", scenarios={"smoke", "more"}) == keys[2]
    assert key("history:latest", scenarios={"smoke"}, other_than=keys[2]) == keys[1]
    assert key(f"history:{unfinished}") == unfinished


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("history:2026", "2 runs begin so: 20261101T213000-.*, 20261102T213000-"),
        ("history:1999", "no such run is recorded; matrix history lists them"),
        ("history:%", "no such run"),
        ("history:", "which run"),
        ("history:latest:nonesuch", "no finished run of scenario nonesuch is recorded"),
    ],
)
def test_no_such_run(sqlite: Database, night: Nights, name: str, message: str) -> None:
    for day in (1, 2):
        record_run(sqlite, night({"one": make.attempt()}, day=day))
    with pytest.raises(UsageError, match=message):
        ask(sqlite, name)


def test_what_another_program_wrote(sqlite: Database, night: Nights) -> None:
    record_run(sqlite, night({"one": make.attempt()}))
    with opened(sqlite, write=True) as session:
        session.write("UPDATE results SET verdict = 'splendid'")
    with pytest.raises(HostError, match=r"not what this program writes: cases\.0\.verdict"):
        ask(sqlite, "history:latest")


def test_a_repeated_case_keeps_its_attempts(sqlite: Database, night: Nights) -> None:
    attempts = [make.attempt(seconds=seconds) for seconds in (1.0, 2.0, 9.0)]
    record_run(sqlite, night({"one": [replace(each) for each in attempts]}))
    (result,) = ask(sqlite, "history:latest").results()
    assert [each.seconds for each in result.attempts] == [1.0, 2.0, 9.0]
