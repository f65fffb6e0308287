"""Every way to the current schema, and databases that are none of ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, select, text

from matrix.errors import HostError
from matrix.results.history import schema
from matrix.results.history.durations import known_durations
from matrix.results.history.migrations import TABLES, VERSION, found_version, migrate
from matrix.results.history.place import Database
from matrix.results.history.query import read_history
from matrix.results.history.record import Recorded, record_run
from matrix.results.history.session import Row
from matrix.results.history.store import ConnectionSession, opened

VERSION_1 = Path(__file__).parents[2] / "data" / "history-version-1.sql"


def shape(connection: Connection) -> dict[str, Any]:
    """What a database has, as far as SQLAlchemy tells."""
    found = inspect(connection)
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"])
                for column in found.get_columns(table)
            },
            "key": sorted(found.get_pk_constraint(table)["constrained_columns"]),
            "references": references(connection, table),
            "indexes": sorted(
                (index["name"], tuple(index["column_names"]))
                for index in found.get_indexes(table)
                if not index["unique"]
            ),
            "unique": sorted(
                tuple(each["column_names"]) for each in found.get_unique_constraints(table)
            ),
        }
        for table in found.get_table_names()
    }


def references(connection: Connection, table: str) -> list[tuple[Any, ...]]:
    """Foreign keys, and what becomes of a row whose parent goes. SQLAlchemy does not read that
    out of SQLite where the key stands beside its column."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"PRAGMA foreign_key_list({table})")
        return sorted((row.table, row[3], row[4], row.on_delete) for row in rows)
    return sorted(
        (tuple(key["constrained_columns"]), key["referred_table"], str(key["options"]))
        for key in inspect(connection).get_foreign_keys(table)
    )


def test_all_steps_lead_to_the_schema(database: Database) -> None:
    with opened(database, write=True) as connection:
        migrated = shape(connection)
        schema.metadata.drop_all(connection)
        schema.metadata.create_all(connection)
        assert migrated == shape(connection)
    assert set(TABLES) == set(schema.metadata.tables)


def load_version_1(database: Database) -> None:
    """Make a database as version 1 left it; the file is of SQLite, its rows fit both."""
    script = VERSION_1.read_text()
    if database.path is not None:
        database.path.parent.mkdir()
        engine = create_engine(f"sqlite:///{database.path}")
        with engine.begin() as connection:
            for statement in script.split(";\n"):
                connection.exec_driver_sql(statement)
        return
    engine = create_engine(database.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        migrate(ConnectionSession(connection), to=1)
        for statement in script.split(";\n"):
            if statement.startswith("INSERT") and "history_version" not in statement:
                connection.exec_driver_sql(statement)
        for table in ("runs", "cases", "metrics"):
            connection.execute(
                text(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")
            )
    engine.dispose()


def test_version_1_is_brought_up_to_date(database: Database, make: Any, night: Any) -> None:
    load_version_1(database)
    with opened(database) as connection:
        assert connection.execute(select(schema.version.c.version)).scalar_one() == VERSION
        history = read_history(connection, "kut.timer.aarch64.tcg")
        assert not connection.execute(select(schema.hops)).all()
    (case,) = history.cases
    assert [entry.verdict.value for entry in case.entries] == ["pass", "flaky"]
    assert [run.hostname for run in history.runs] == ["builder", "builder"]
    assert case.metrics == {("latency", "ns", 1): ((1200.0,), (1300.0, 1350.0))}
    # Of the attempts of the latest run, and nothing for what was only ever skipped.
    assert known_durations(database, ["kut"]) == {"kut.timer.aarch64.tcg": 3.0}
    assert record_run(database, night({"new": make.attempt()}))[1] is Recorded.NEW
    with opened(database) as connection:
        assert read_history(connection).runs_in_all == 3


def test_the_same_tables_whichever_way(database: Database) -> None:
    load_version_1(database)
    with opened(database) as connection:
        migrated = shape(connection)
    with opened(database, write=True) as connection:
        schema.metadata.drop_all(connection)
        schema.metadata.create_all(connection)
        created = shape(connection)
    assert migrated == created


def test_a_newer_version_is_refused(database: Database, make: Any, night: Any) -> None:
    record = night({"one": make.attempt()})
    record_run(database, record)
    with opened(database, write=True) as connection:
        connection.execute(schema.version.update().values(version=VERSION + 1))
    with pytest.raises(HostError, match=rf"newer version .*schema {VERSION + 1}.*up to {VERSION}"):
        record_run(database, record)
    with pytest.raises(HostError, match="update this one"), opened(database):
        pass


def test_another_programs_tables_are_left_alone(database: Database) -> None:
    if database.path is not None:
        database.path.parent.mkdir()
        url = f"sqlite:///{database.path}"
    else:
        url = database.url.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE cases (id INTEGER)")
    with (
        pytest.raises(HostError, match="table 'cases' that is not ours"),
        opened(database, write=True),
    ):
        pass
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == ["cases"]
    engine.dispose()


class _Appearing:
    """A database into which another process commits its tables between two questions."""

    postgresql = True

    def __init__(self) -> None:
        self._asked = 0

    def has_table(self, name: str) -> bool:
        self._asked += 1
        return self._asked > 1

    def read(self, statement: str, values: Row | None = None) -> list[tuple[Any, ...]]:
        return [(VERSION,)]

    def write(self, statement: str, rows: Sequence[Row] | None = None) -> None:
        raise AssertionError(statement)


def test_tables_that_another_process_makes_meanwhile_are_ours() -> None:
    assert found_version(_Appearing()) == VERSION
