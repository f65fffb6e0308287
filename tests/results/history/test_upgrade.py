"""Databases of earlier versions are brought to the current one, with all that is shown of them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, NullPool, create_engine, inspect

from matrix.errors import HostError
from matrix.model import AcceleratorLabel
from matrix.plan.inputs import digest_of
from matrix.results.history import upgrade
from matrix.results.history.baseline import recorded_run
from matrix.results.history.database import opened
from matrix.results.history.database_schema import TABLES, VERSION
from matrix.results.history.durations import known_durations
from matrix.results.history.history_json import write_document
from matrix.results.history.history_text import case_lines, cases_lines, history_lines
from matrix.results.history.place import Database
from matrix.results.history.query import read_eventful, read_history
from matrix.results.history.same_inputs import same_inputs
from matrix.results.history.writer import Recorded, record_run
from matrix.results.segments import plain
from tests import make
from tests.results.history.conftest import Nights

DATA = Path(__file__).parents[2] / "data"
GOLDEN = Path(__file__).parent / "golden"
"""What the last program that wrote schema 3 showed of ``history-version-3.sql``."""

FAIL = "nightly.fail.x86_64.tcg"


@contextmanager
def direct(database: Database) -> Iterator[Connection]:
    """A connection past all of ours."""
    url = database.url.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url or f"sqlite:///{database.path}", poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def load(database: Database, version: int) -> None:
    """Make a database as an earlier version left it; the scripts are SQLite's."""
    script = (DATA / f"history-version-{version}.sql").read_text()
    if database.path is not None:
        database.path.parent.mkdir()
    else:
        script = script.replace("WITHOUT ROWID", "").replace("id INTEGER NOT NULL", "id SERIAL")
    with direct(database) as connection:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        for table in ("runs", "cases", "metrics") if database.path is None else ():
            last = f"(SELECT max(id) FROM {table})"
            connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', {last})")


@pytest.fixture
def old(database: Database) -> Database:
    """What the last program with schema 3 wrote."""
    load(database, 3)
    return database


def dump(database: Database) -> dict[str, list[Any]]:
    """All that is in a database."""
    with direct(database) as connection:
        return {
            table: sorted(map(repr, connection.exec_driver_sql(f"SELECT * FROM {table}")))
            for table in inspect(connection).get_table_names()
        }


def shape(database: Database) -> dict[str, Any]:
    """What tables a database has, as far as SQLAlchemy tells."""
    with direct(database) as connection:
        found = inspect(connection)
        return {
            table: {
                "columns": {
                    column["name"]: (str(column["type"]), column["nullable"])
                    for column in found.get_columns(table)
                },
                "key": found.get_pk_constraint(table)["constrained_columns"],
                "references": sorted(
                    (key["constrained_columns"], key["referred_table"], key["options"])
                    for key in found.get_foreign_keys(table)
                ),
                "indexes": sorted(
                    (each["name"], each["column_names"])
                    for each in found.get_indexes(table)
                    if not each["unique"]
                ),
                "unique": sorted(x["column_names"] for x in found.get_unique_constraints(table)),
            }
            for table in found.get_table_names()
        }


def document(database: Database, pattern: str) -> Any:
    parts: list[bytes] = []
    with opened(database) as session:
        write_document(parts.append, read_history(session, pattern), "history.sqlite")
    return json.loads(b"".join(parts))


@pytest.mark.parametrize(("name", "pattern"), [("all", ""), ("soak", "soak"), ("timer", "r.aarc")])
def test_all_that_was_in_the_document_still_is(old: Database, name: str, pattern: str) -> None:
    expected = json.loads((GOLDEN / f"version-3-{name}.json").read_bytes())
    assert document(old, pattern) == expected


def test_all_that_was_shown_still_is(old: Database) -> None:
    with opened(old) as session:
        shown = {
            "runs": history_lines(read_eventful(session), 80, 20),
            "cases": cases_lines(read_history(session, "*").cases, 80, 20),
            "soak": case_lines(read_history(session, "soak").cases[0], 80, 20),
            "fail.x86": case_lines(read_history(session, "fail.x86").cases[0], 80, 20),
        }
    for name, lines in shown.items():
        assert plain(lines) == (GOLDEN / f"version-3-{name}.txt").read_text()


def test_an_upgraded_run_is_a_baseline(old: Database) -> None:
    with opened(old) as session:
        stored = recorded_run(session, "history:latest")
    assert [binary.version for binary in stored.info.binaries] == ["10.0.2"] * 2
    results = {result.id: result for result in stored.results()}
    bad = results[FAIL]
    assert [each.name for each in bad.not_passed] == ["fail: this one fails, as it should"]
    assert bad.suite_revision == "1da1819e49fc4938985edca67df669099b4c87a7"
    assert results["nightly.fail.s390x.tcg"].skip_cause == "scenario"
    soak = results["soak.ram-integrity.x86_64.tcg"].attempts[1].hops
    assert soak is not None
    assert (soak.hops, soak.seed, len(soak.statistics)) == (24, 2834554581, 3)
    assert soak.broken[0] == "hop 1: downtime 0.027 s, more than 0.001 s"


def test_version_1_is_brought_up_to_date(database: Database, night: Nights) -> None:
    load(database, 1)
    with opened(database) as session:
        assert session.read("SELECT version FROM history_version") == [(VERSION,)]
        history = read_history(session, "kut.timer.aarch64.tcg")
    (case,) = history.cases
    assert [entry.verdict.value for entry in case.entries] == ["pass", "flaky"]
    assert [run.hostname for run in history.runs] == ["builder", "builder"]
    assert case.metrics == {("latency", "ns", 1): ((1200.0,), (1300.0, 1350.0))}
    # Of the attempts of the latest run, and nothing for what was only ever skipped.
    labels = {"kut.timer.aarch64.tcg": AcceleratorLabel.TCG}
    assert known_durations(database, ["kut"], labels) == {"kut.timer.aarch64.tcg": 3.0}
    assert record_run(database, night({"new": make.attempt()}))[1] is Recorded.NEW
    with opened(database) as session:
        assert read_history(session).runs_in_all == 3


def test_version_4_gets_the_digest_of_inputs(database: Database, night: Nights) -> None:
    before = night({"old": make.attempt()})
    record_run(database, before)
    tables = shape(database)
    with direct(database) as connection:
        connection.exec_driver_sql("DROP INDEX results_by_inputs")
        connection.exec_driver_sql("ALTER TABLE results DROP COLUMN input_digest")
        connection.exec_driver_sql("UPDATE history_version SET version = 4")
    made = (("image", "1"), ("QEMU", "2"))
    after = night({"new": replace(make.attempt(), inputs=made)})
    assert record_run(database, after)[1] is Recorded.NEW
    assert shape(database) == tables
    assert record_run(database, before)[1] is Recorded.KNOWN
    (name,) = (each.id for each in after.planned())
    (found,) = same_inputs(database, {name: digest_of(made)})[name]
    assert (found.record.id, found.record.verdict) == (name, "pass")
    assert found.directory == after.run.path
    assert same_inputs(database, {name: digest_of([("image", "2")])}) == {}
    assert same_inputs(database, {"another": digest_of(made)}) == {}
    assert same_inputs(database, {name: digest_of(made)}, failed=True) == {}


def test_the_same_tables_whichever_way(old: Database, tmp_path: Path) -> None:
    with opened(old):
        pass
    upgraded = shape(old)
    assert set(upgraded) == set(TABLES)
    if old.path is not None:
        new = Database(tmp_path / "new.sqlite")
    else:
        with direct(old) as connection:
            connection.exec_driver_sql(f"DROP TABLE {', '.join(TABLES)} CASCADE")
        new = old
    with opened(new, write=True):
        pass
    assert upgraded == shape(new)


def test_it_is_said_on_stderr(old: Database, capsys: pytest.CaptureFixture[str]) -> None:
    document(old, "")
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"history database {old}: bringing 15 results to schema {VERSION} …"
    assert second.startswith(f"history database {old}: done in ")
    document(old, "")
    assert capsys.readouterr().err == ""


def test_what_fails_in_between_leaves_the_old_database(old: Database) -> None:
    with direct(old) as connection:
        connection.exec_driver_sql("UPDATE attempts SET verdict = 'splendid' WHERE run = 2")
    before = dump(old)
    with (
        pytest.raises(HostError, match=r"of run 20261129T142515-05bd5215 is not what .*'splendid'"),
        opened(old),
    ):
        pass
    assert dump(old) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from matrix.results.history import upgrade
from matrix.results.history.database import opened
from matrix.results.history.place import Database

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

upgrade._GONE = map(killed, "x")  # when all is copied, and nothing dropped yet
with opened(Database(Path(sys.argv[1]))):
    pass
"""


def test_a_killed_upgrade_leaves_the_old_database(sqlite: Database) -> None:
    load(sqlite, 3)
    before = dump(sqlite)
    done = subprocess.run([sys.executable, "-c", KILLED, str(sqlite.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Path(f"{sqlite.path}-journal").exists()
    assert dump(sqlite) == before
    assert document(sqlite, "")["runs_in_all"] == 2


UPGRADING = """
import sys
from pathlib import Path
from matrix.results.history.database import opened
from matrix.results.history.place import database_named
from matrix.results.history.query import read_history
print("ready", flush=True)
sys.stdin.readline()
with opened(database_named(sys.argv[1])) as session:
    print(len(read_history(session).cases))
"""


def test_several_processes_upgrade_at_once(old: Database) -> None:
    command = [sys.executable, "-c", UPGRADING, old.url or str(old.path)]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=200) for process in processes]
    assert [out for out, _ in said] == ["8\n"] * 3
    assert sum("bringing" in err for _, err in said) == 1


def test_the_current_version_is_documented() -> None:
    assert f"\n{VERSION}  " in str(upgrade.__doc__)
