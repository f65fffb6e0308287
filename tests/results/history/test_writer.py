"""What of a run is written, on both databases."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from matrix.attempt import Assist
from matrix.errors import HostError, UsageError
from matrix.migrating import MigrationSummary, Statistic
from matrix.model import AcceleratorLabel
from matrix.results.case_record import parsed
from matrix.results.history import durations, records
from matrix.results.history import writer as record_module
from matrix.results.history.database import opened
from matrix.results.history.durations import known_durations, longest_passes
from matrix.results.history.place import Database
from matrix.results.history.records import recorded_cases
from matrix.results.history.writer import Recorded, record_run
from matrix.results.recorder import Recorder
from matrix.results.run_record import load_run
from matrix.results.summary import write_results
from tests import make
from tests.results.history.conftest import Nights

ONE, TWO = "smoke.one.x86_64.auto", "smoke.two.x86_64.auto"


def read(database: Database, query: str) -> list[tuple[Any, ...]]:
    with opened(database) as session:
        return session.read(query)


def count(database: Database, table: str) -> int:
    return int(read(database, f"SELECT count(*) FROM {table}")[0][0])


def cases(database: Database) -> dict[str, dict[str, Any]]:
    """The flat records of the one run, by test."""
    with opened(database) as session:
        ((run,),) = session.read("SELECT id FROM runs")
        return {case["test"]: case for case in recorded_cases(session, run)}


def test_everything_is_written(database: Database, night: Nights) -> None:
    bad = make.attempt(
        "fail",
        "1 of 2",
        seconds=2.0,
        subtests=["PASS: a", "FAIL: b: 12 ms"],
        metrics=(("cpuid", 1000.0, "cycles"), ("cpuid", 1200.0, "cycles"), ("ipi", 5.0, "ns")),
    )
    record = night({"bad": [bad, make.attempt(seconds=1.0)], "left": "no such CPU"}, revision="abc")
    key, what = record_run(database, record)
    assert what is Recorded.NEW
    assert key.startswith("20261101T213000-")

    columns = "key, started, finished, hostname, exit_code, directory, counts, info"
    (run,) = read(database, f"SELECT {columns} FROM runs")
    assert run[:4] == (key, "2026-11-01T21:30:00.000Z", True, "builder")
    assert run[4:6] == (1, str(record.run.path))
    assert json.loads(run[6]) == {"skip": 1, "flaky": 1}
    info = json.loads(run[7])
    assert info["host"] | {"kernel": "6.1.0", "memory": 2**33} == info["host"]
    assert info["arguments"] == ["run", "smoke.yaml"]
    assert (info["binaries"][0]["version"], info["binaries"][0]["accelerators"]) == (
        "7.2.22",
        ["tcg", "kvm"],
    )
    assert [(each["name"], each["text"]) for each in info["scenarios"]] == [("smoke", "")]
    assert [each["state"] for each in info["proofs"]] == ["unavailable"]

    took = read(database, "SELECT test, seconds, axes FROM cases ORDER BY test")
    assert [each[:2] for each in took] == [("bad", 1.5), ("left", None)]
    assert json.loads(took[0][2]) == {"arch": "x86_64", "accel": "auto", "qemu": "system"}
    facts = "verdict, attempts, accelerator, qemu_version, kernel, cpu_model, suite_revision"
    joined = "results JOIN environments ON environments.id = environment"
    assert read(database, f"SELECT {facts} FROM {joined} ORDER BY verdict") == [
        ("flaky", "fail pass", "tcg", "7.2.22", "6.1.0", "Neoverse", "abc"),
        ("skip", "", "", "7.2.22", "6.1.0", "Neoverse", "abc"),
    ]


@pytest.mark.parametrize("number", [1, 2])
def test_a_record_is_a_case_of_results_json(database: Database, night: Nights, number: int) -> None:
    """As it stands there; of artifacts see test_records.py."""
    soaked = make.attempt(
        migration=summary(2, broken=("downtime p99",)),
        metrics=(("n", 1.0, "s"), ("n", math.nan, "s")),
        assists=((Assist("calc-dirty-rate"), 3),),
        accelerator_reason="asked for",
    )
    bad = make.attempt("fail", "1 of 2", subtests=["PASS: a", "FAIL: b: 12 ms"], seconds=0.1)
    record = night({"soak": [soaked] * number, "bad": [bad, soaked][:number], "left": "no CPU"})
    record_run(database, record)
    write_results(record)
    document = json.loads((record.run.path / "results.json").read_bytes())
    assert list(map(parsed, cases(database).values())) == list(map(parsed, document["cases"]))


def test_a_run_is_written_once(database: Database, night: Nights) -> None:
    record = night({"one": make.attempt()})
    assert record_run(database, record)[1] is Recorded.NEW
    assert record_run(database, record)[1] is Recorded.KNOWN
    copy = load_run(record.run.path.rename(record.run.path.with_name("moved")))
    assert record_run(database, copy)[1] is Recorded.KNOWN
    assert count(database, "runs") == 1


def test_a_resumed_run_takes_the_place_of_what_was_known(database: Database, night: Nights) -> None:
    record = night({"one": make.attempt(), "two": None, "three": [make.attempt(), None]})
    assert record_run(database, record)[1] is Recorded.NEW
    assert read(database, "SELECT finished, exit_code FROM runs") == [(False, 130)]
    assert count(database, "results") == 1

    with Recorder.resume(record.run.path) as recorder:
        for decision in recorder.record.decisions:
            for number in recorder.attempts_left(decision.case):
                recorder.begin(decision.case, number)
                recorder.finish(decision.case, make.attempt(number=number))
        assert record_run(database, recorder.record)[1] is Recorded.REPLACED
    assert read(database, "SELECT finished, exit_code FROM runs") == [(True, 0)]
    found = {test: len(case["attempts"]) for test, case in cases(database).items()}
    assert found == {"one": 1, "two": 1, "three": 2}


def test_a_pass_counts_only_under_the_same_accelerator(database: Database, night: Nights) -> None:
    for day, seconds, label in ((8, 1.0, "kvm"), (9, 9.0, "kvm (virtual)"), (10, 5.0, "tcg")):
        record_run(
            database, night({"one": make.attempt(seconds=seconds, accelerator=label)}, day=day)
        )
    case = "smoke.one.x86_64.auto"
    found = [longest_passes(database, {case: label}) for label in AcceleratorLabel]
    assert found == [{case: 1.0}, {case: 9.0}, {case: 5.0}]
    assert longest_passes(database, {"other": AcceleratorLabel.KVM}) == {}


def test_an_older_run_does_not_change_what_cases_took(database: Database, night: Nights) -> None:
    new = night({"one": make.attempt(seconds=5.0), "two": make.attempt(seconds=3.0)}, day=9)
    old = night({"one": make.attempt(seconds=1.0)}, day=8)
    newest = night({"one": "skipped", "two": make.attempt(seconds=4.0)}, day=10)
    for each in (new, old, newest):
        record_run(database, each)
    labels = dict.fromkeys((ONE, TWO, "smoke.other"), AcceleratorLabel.TCG)
    assert known_durations(database, ["smoke"], labels) == {ONE: 5.0, TWO: 4.0}
    assert known_durations(database, ["smoke"], {}) == {}


def test_what_cases_took_is_known_by_accelerator(
    database: Database, night: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the latest run that had a case under what it runs under now, be others later or not."""

    def took(seconds: float, label: str) -> Any:
        return make.attempt(seconds=seconds, accelerator=label)

    record_run(database, night({"one": [took(9.0, "tcg"), took(7.0, "tcg")], "two": "no"}, day=1))
    record_run(database, night({"one": took(1.0, "kvm"), "two": took(2.0, "kvm")}, day=2))
    record_run(database, night({"one": took(4.0, "kvm (virtual)"), "two": "no"}, day=3))

    def known(one: AcceleratorLabel, two: AcceleratorLabel) -> dict[str, float]:
        return known_durations(database, ["smoke"], {ONE: one, TWO: two})

    tcg, kvm, virtual = AcceleratorLabel.TCG, AcceleratorLabel.KVM, AcceleratorLabel.VIRTUAL_KVM
    assert known(tcg, tcg) == {ONE: 8.0}
    assert known(kvm, kvm) == {ONE: 1.0, TWO: 2.0}
    assert known(virtual, virtual) == {ONE: 4.0}
    assert known(tcg, kvm) == {ONE: 8.0, TWO: 2.0}
    monkeypatch.setattr(durations, "MOST_NAMES", 1)
    assert known(tcg, tcg) == {ONE: 8.0}
    monkeypatch.setattr(durations, "MOST_RUNS", 2)
    assert known(tcg, kvm) == {TWO: 2.0}


def test_what_guests_print_can_be_stored(database: Database, night: Nights) -> None:
    hostile = "a\0b\x1b[31m'; DROP TABLE runs; -- ☃ " + "x" * 10_000
    attempt = make.attempt(
        "fail",
        hostile,
        metrics=(("n", math.nan, "s"), ("i", math.inf, "s"), (hostile, 1.0, hostile)),
    )
    subtests = tuple(make.subtest(f"FAIL: {number}") for number in range(105))
    record_run(database, night({"one": replace(attempt, subtests=subtests)}))
    case = cases(database)["one"]
    assert case["reason"].startswith("a\\x00b\x1b[31m'; DROP TABLE runs; -- ☃ xxx")
    assert len(case["reason"]) <= records.LONGEST_TEXT + 10
    assert len(case["subtests"]) == records.MOST["subtests"] == 100
    assert [metric["value"] for metric in case["metrics"]] == [None, None, 1.0]


def summary(hops: int, **more: Any) -> MigrationSummary:
    values = {
        "completed": hops,
        "as_expected": 0,
        "bad": 0,
        "seed": 2**80,
        "seconds": 60.0,
        "statistics": (Statistic("downtime", "s", hops, 0.1, 0.2, 0.3, 0.4),),
        **more,
    }
    return MigrationSummary(hops=hops, **values)


def test_a_run_without_its_time_is_refused(sqlite: Database, night: Nights) -> None:
    record = night({"one": make.attempt()})
    record.info = replace(record.info, started="yesterday")
    with pytest.raises(UsageError, match="'started' is not a time"):
        record_run(sqlite, record)


def test_nothing_of_a_run_that_fails_to_be_written_is_left(
    database: Database, night: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_run(database, night({"one": make.attempt()}, day=1))

    def broken(*_: object) -> Any:
        raise HostError("the journal is gone")

    monkeypatch.setattr(record_module, "insert_results", broken)
    with pytest.raises(HostError, match="the journal is gone"):
        record_run(database, night({"two": make.attempt()}, day=2))
    assert count(database, "runs") == 1
    assert count(database, "cases") == 1


WRITER = """
import sys
from pathlib import Path
from matrix.results.history.place import database_named
from matrix.results.history.writer import record_run
from matrix.results.run_record import load_run
record, database = load_run(Path(sys.argv[1])), database_named(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
record_run(database, record)
"""


def test_several_processes_write_at_once(database: Database, night: Nights) -> None:
    """Into a database that does not exist yet, so each would make it."""
    several = 4
    tests = {f"test{number}": make.attempt(metrics=(("m", 1.0, "s"),)) for number in range(50)}
    paths = [night(tests, day=day).run.path for day in range(1, several + 1)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), database.url or str(database.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for path in paths
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.close()
        for process in processes:
            process.wait(timeout=200)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
    assert [process.returncode for process in processes] == [0] * several
    assert count(database, "runs") == several
    assert count(database, "results") == several * 50
    assert count(database, "cases") == 50
    assert count(database, "environments") == 50  # one for each case, shared by the runs


def test_writers_on_a_server_wait_for_each_other(postgresql: Database, night: Nights) -> None:
    record_run(postgresql, night({"one": make.attempt()}))
    with (
        opened(postgresql, write=True),
        pytest.raises(HostError, match="lock timeout"),
        opened(postgresql, write=True, patience=0.1),
    ):
        pass
    assert count(postgresql, "runs") == 1


WITHOUT = """
import sys
from pathlib import Path
from matrix.results.history.place import database_named
from matrix.results.history.writer import record_run
from matrix.results.run_record import load_run
for path in sys.argv[2:]:
    print(record_run(database_named(sys.argv[1]), load_run(Path(path)))[1].value)
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"sqlalchemy", "alembic", "psycopg"}, loaded
"""


def test_a_file_is_written_without_sqlalchemy(sqlite: Database, night: Nights) -> None:
    """Neither to make one nor to add to it: a short run would wait for it to be loaded."""
    first = night({"one": make.attempt(metrics=(("m", 1.0, "s"),)), "two": None}).run.path
    second = night({"one": make.attempt("fail", subtests=["FAIL: a"])}, day=2).run.path
    arguments = [str(sqlite.path), str(first), str(second), str(first), str(second)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["recorded", "recorded", "recorded again", "known already"]
