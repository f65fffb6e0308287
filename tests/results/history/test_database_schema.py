"""Databases that are none of ours, or newer."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from matrix.errors import HostError
from matrix.results.history.connection import Row
from matrix.results.history.database import opened
from matrix.results.history.database_schema import VERSION, found_version
from matrix.results.history.place import Database
from matrix.results.history.writer import record_run
from tests import make
from tests.results.history.conftest import Nights


def test_a_newer_version_is_refused(database: Database, night: Nights) -> None:
    record = night({"one": make.attempt()})
    record_run(database, record)
    with opened(database, write=True) as session:
        session.write("UPDATE history_version SET version = :n", [{"n": VERSION + 1}])
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

    def transaction(self, *, write: bool) -> nullcontext[None]:
        return nullcontext()

    def has_table(self, name: str) -> bool:
        self._asked += 1
        return self._asked > 1

    def read(self, statement: str, values: Row | None = None) -> list[tuple[Any, ...]]:
        return [(VERSION,)]

    def write(self, statement: str, rows: Sequence[Row] | None = None) -> None:
        raise AssertionError(statement)


def test_tables_that_another_process_makes_meanwhile_are_ours() -> None:
    assert found_version(_Appearing()) == VERSION
