"""What of a run is written, on both databases."""

import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from matrix.errors import HostError, UsageError
from matrix.migrating import Fault, Hop, HopOutcome, MigrationSummary, Statistic, Strategy
from matrix.results.history import hops, rows, schema
from matrix.results.history import record as record_module
from matrix.results.history.durations import known_durations
from matrix.results.history.migrations import TABLES
from matrix.results.history.place import Database
from matrix.results.history.record import Recorded, record_run
from matrix.results.history.store import opened
from matrix.results.json_text import json_bytes
from matrix.results.record import load_run
from matrix.results.recorder import Recorder


def read(database: Database, table: Any) -> list[Any]:
    with opened(database) as connection:
        return [row._asdict() for row in connection.execute(select(table))]


def test_everything_is_written(database: Database, make: Any, night: Any) -> None:
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

    (run,) = read(database, schema.runs)
    assert run["key"] == key
    assert key.startswith("20261101T213000-")
    assert (run["started"], run["finished"], run["exit_code"]) == (
        "2026-11-01T21:30:00.000Z",
        True,
        1,
    )
    assert (run["host_kernel"], run["hostname"], run["host_memory"]) == ("6.1.0", "builder", 2**32)
    assert run["arguments"] == '["run", "smoke.yaml"]'
    (binary,) = read(database, schema.binaries)
    assert (binary["version"], binary["accelerators"]) == ("7.2.22", "tcg kvm")
    assert [row["name"] for row in read(database, schema.scenarios)] == ["smoke"]
    assert [row["state"] for row in read(database, schema.proofs)] == ["unavailable"]

    cases = {row["test"]: row for row in read(database, schema.cases)}
    assert cases["bad"]["axes"] == '{"arch": "x86_64", "accel": "auto", "qemu": "system"}'
    assert (cases["bad"]["seconds"], cases["left"]["seconds"]) == (1.5, None)
    results = {row["case"]: row for row in read(database, schema.results)}
    result = results[cases["bad"]["id"]]
    assert (result["verdict"], result["qemu_version"]) == ("flaky", "7.2.22")
    assert (result["suite_revision"], result["accelerator"]) == ("abc", "tcg")
    assert results[cases["left"]["id"]]["reason"] == "no such CPU"

    attempts = read(database, schema.attempts)
    assert [(row["verdict"], row["seconds"], row["reason"]) for row in attempts] == [
        ("fail", 2.0, "1 of 2"),
        ("pass", 1.0, ""),
    ]
    assert attempts[0]["subtest_counts"] == '{"pass": 1, "fail": 1}'
    (subtest,) = read(database, schema.subtests)
    assert (subtest["name"], subtest["verdict"], subtest["message"]) == ("b", "fail", "12 ms")
    metrics = {row["id"]: (row["name"], row["unit"]) for row in read(database, schema.metrics)}
    values = read(database, schema.measurements)
    assert sorted((metrics[row["metric"]], row["ordinal"], row["value"]) for row in values) == [
        (("cpuid", "cycles"), 1, 1000.0),
        (("cpuid", "cycles"), 2, 1200.0),
        (("ipi", "ns"), 1, 5.0),
    ]


def test_a_run_is_written_once(database: Database, make: Any, night: Any) -> None:
    record = night({"one": make.attempt()})
    assert record_run(database, record)[1] is Recorded.NEW
    assert record_run(database, record)[1] is Recorded.KNOWN
    copy = load_run(record.run.path.rename(record.run.path.with_name("moved")))
    assert record_run(database, copy)[1] is Recorded.KNOWN
    assert len(read(database, schema.runs)) == 1


def test_a_resumed_run_takes_the_place_of_what_was_known(
    database: Database, make: Any, night: Any
) -> None:
    record = night({"one": make.attempt(), "two": None, "three": [make.attempt(), None]})
    assert record_run(database, record)[1] is Recorded.NEW
    (run,) = read(database, schema.runs)
    assert (run["finished"], run["exit_code"]) == (False, 130)
    assert len(read(database, schema.results)) == 1

    with Recorder.resume(record.run.path) as recorder:
        for decision in recorder.record.decisions:
            for number in recorder.attempts_left(decision.case):
                recorder.begin(decision.case, number)
                recorder.finish(decision.case, make.attempt(number=number))
        assert record_run(database, recorder.record)[1] is Recorded.REPLACED
    (run,) = read(database, schema.runs)
    assert (run["finished"], run["exit_code"]) == (True, 0)
    assert len(read(database, schema.results)) == 3
    assert len(read(database, schema.attempts)) == 4


def test_an_older_run_does_not_change_what_cases_took(
    database: Database, make: Any, night: Any
) -> None:
    new = night({"one": make.attempt(seconds=5.0), "two": make.attempt(seconds=3.0)}, day=9)
    old = night({"one": make.attempt(seconds=1.0)}, day=8)
    newest = night({"one": "skipped", "two": make.attempt(seconds=4.0)}, day=10)
    for each in (new, old, newest):
        record_run(database, each)
    assert known_durations(database, ["smoke"]) == {
        "smoke.one.x86_64.auto": 5.0,
        "smoke.two.x86_64.auto": 4.0,
    }
    assert known_durations(database, ["other"]) == {}


def test_what_guests_print_can_be_stored(database: Database, make: Any, night: Any) -> None:
    hostile = "a\0b\x1b[31m'; DROP TABLE runs; -- ☃ " + "x" * 10_000
    attempt = make.attempt(
        "fail",
        hostile,
        metrics=(("n", math.nan, "s"), ("i", math.inf, "s"), (hostile, 1.0, hostile)),
    )
    subtests = tuple(make.subtest(f"FAIL: {number}") for number in range(rows.MOST_SUBTESTS + 5))
    record_run(database, night({"one": replace(attempt, subtests=subtests)}))
    (result,) = read(database, schema.results)
    assert result["reason"].startswith("a\\x00b\x1b[31m'; DROP TABLE runs; -- ☃ xxx")
    assert len(result["reason"]) <= rows.LONGEST_TEXT + 10
    assert len(read(database, schema.subtests)) == rows.MOST_SUBTESTS
    assert [row["value"] for row in read(database, schema.measurements)] == [1.0]


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


def with_hops(night: Any, make: Any, lines: list[bytes], attempt: Any) -> Any:
    attempt = replace(attempt, artifacts="cases/soak")
    record = night({"soak": attempt})
    folder = record.run.path / "cases/soak"
    folder.mkdir(parents=True)
    (folder / "hops.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return record


def hop_line(number: int, **more: Any) -> bytes:
    values = {
        "number": number,
        "begun": 1_795_000_000.0 + number,
        "strategy": Strategy.PRECOPY,
        "transport": "unix",
        "source": "system 7.2.22",
        "destination": "10.0 10.0.2",
        "outcome": HopOutcome.COMPLETED,
        "good": True,
        "downtime": 0.001 * number,
        **more,
    }
    return json_bytes(Hop(**values))


def test_hops_and_their_statistics(database: Database, make: Any, night: Any) -> None:
    lost = {"outcome": HopOutcome.LOST, "good": False, "reason": "gone", "fault": Fault.DISK_FULL}
    lines = [hop_line(1), b"garbage", hop_line(2, transferred=2**70, **lost)]
    soaked = make.attempt(migration=summary(2, broken=("downtime p99",)))
    record_run(database, with_hops(night, make, lines, soaked))
    (migration,) = read(database, schema.migrations)
    assert (migration["hops"], migration["seed"]) == (2, str(2**80))
    assert migration["broken"] == '["downtime p99"]'
    (statistic,) = read(database, schema.statistics)
    assert (statistic["name"], statistic["p50"], statistic["max"]) == ("downtime", 0.1, 0.4)
    first, second = sorted(read(database, schema.hops), key=lambda row: row["number"])
    assert (first["strategy"], first["good"], first["downtime"]) == ("precopy", True, 0.001)
    assert (second["outcome"], second["reason"], second["transferred"]) == ("lost", "gone", None)
    assert second["fault"] == "disk-full"


def test_of_a_long_soak_a_sample_and_every_bad_hop(
    sqlite: Database, make: Any, night: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hops, "MOST_HOPS", 10)
    bad = {"outcome": HopOutcome.LOST, "good": False}
    lines = [hop_line(n, **(bad if n in (33, 77) else {})) for n in range(1, 101)]
    record_run(sqlite, with_hops(night, make, lines, make.attempt(migration=summary(100))))
    numbers = [row["number"] for row in read(sqlite, schema.hops)]
    assert numbers == [1, 11, 21, 31, 33, 41, 51, 61, 71, 77, 81, 91]


def test_a_run_without_its_time_is_refused(sqlite: Database, make: Any, night: Any) -> None:
    record = night({"one": make.attempt()})
    record.info = replace(record.info, started="yesterday")
    with pytest.raises(UsageError, match="'started' is no time"):
        record_run(sqlite, record)


def test_nothing_of_a_run_that_fails_to_be_written_is_left(
    database: Database, make: Any, night: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_run(database, night({"one": make.attempt()}, day=1))

    def broken(*_: object) -> Any:
        raise HostError("the journal is gone")

    monkeypatch.setattr(record_module, "result_rows", broken)
    with pytest.raises(HostError, match="the journal is gone"):
        record_run(database, night({"two": make.attempt()}, day=2))
    assert len(read(database, schema.runs)) == 1
    assert len(read(database, schema.cases)) == 1


WRITER = """
import sys
from pathlib import Path
from matrix.results.history.place import database_named
from matrix.results.history.record import record_run
from matrix.results.record import load_run
record, database = load_run(Path(sys.argv[1])), database_named(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
record_run(database, record)
"""


def test_several_processes_write_at_once(database: Database, make: Any, night: Any) -> None:
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
    assert len(read(database, schema.runs)) == several
    assert len(read(database, schema.results)) == several * 50
    assert len(read(database, schema.cases)) == 50
    with opened(database) as connection:
        assert connection.execute(select(func.count()).select_from(schema.metrics)).scalar() == 1


def test_rows_have_the_columns_of_the_schema(sqlite: Database, make: Any, night: Any) -> None:
    """What is inserted names its columns by the rows' keys, so none may be missing or misspelt."""
    attempt = make.attempt(
        "fail",
        subtests=["FAIL: a"],
        metrics=(("m", 1.0, "s"),),
        migration=summary(1),
    )
    record = with_hops(night, make, [hop_line(1)], attempt)
    (result,) = record.results()
    written = [
        ("runs", rows.run_row(record)),
        ("cases", rows.case_row(record.decision(result.id).case, 1.0, "")),
        *((table, {"run": 0, **row}) for table, row in rows.fingerprint_rows(record.info)),
    ]
    for table, row in rows.result_rows(record, result):
        own = {"run": 0, "case": 0, **row}
        if table == "measurements":
            own["metric"] = (own.pop("name"), own.pop("unit"))
        written.append((table, own))
    assert {table for table, _ in written} == set(TABLES) - {"history_version", "metrics"}
    for table, row in written:
        numbered = {"id"} if table in ("runs", "cases") else set()
        assert set(row) | numbered == set(schema.metadata.tables[table].columns.keys()), table


WITHOUT = """
import sys
from pathlib import Path
from matrix.results.history.place import database_named
from matrix.results.history.record import record_run
from matrix.results.record import load_run
for path in sys.argv[2:]:
    print(record_run(database_named(sys.argv[1]), load_run(Path(path)))[1].value)
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"sqlalchemy", "alembic", "psycopg"}, loaded
"""


def test_a_file_is_written_without_sqlalchemy(sqlite: Database, make: Any, night: Any) -> None:
    """Neither to make one nor to add to it: a short run would wait for it to be loaded."""
    first = night({"one": make.attempt(metrics=(("m", 1.0, "s"),)), "two": None}).run.path
    second = night({"one": make.attempt("fail", subtests=["FAIL: a"])}, day=2).run.path
    arguments = [str(sqlite.path), str(first), str(second), str(first), str(second)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["recorded", "recorded", "recorded again", "known already"]
