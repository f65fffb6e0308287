"""Opens the history's database with SQLAlchemy, for queries, and for all that PostgreSQL does.

The schema is brought up to date, and what is wrong is said in words. Runs are written to a file of
SQLite by :mod:`.sqlite_file`.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from matrix.errors import HostError, UsageError
from matrix.results.files import host_errors
from matrix.results.history import sqlite_file
from matrix.results.history.migrations import VERSION, found_version, migrate
from matrix.results.history.place import Database
from matrix.results.history.session import Row
from matrix.results.history.sqlite_file import PATIENCE, naming
from matrix.results.printable import printable

_DRIVER = "postgresql+psycopg"

_NO_DRIVER = (
    "psycopg is not installed: pip install 'qemu-matrix[postgresql]', or name a file instead"
)


@contextmanager
def opened(
    database: Database, *, write: bool = False, patience: float = PATIENCE
) -> Iterator[Connection]:
    """A connection in one transaction, committed at the end, with the schema up to date.

    Args:
        database: which one; one that is to be written is made where it does not exist.
        write: whether it will be written. One that is only read is still brought up to date.
        patience: seconds to wait for others.

    Raises:
        UsageError: the URL is wrong, its driver is not installed, or there is nothing to read yet.
        HostError: it is damaged, locked, full, unreachable, or of a newer version.
    """
    if not write and database.path is not None:
        with host_errors("read", database.path):
            there = database.path.exists()
        if not there:
            raise _nothing_yet(database)
    try:
        if database.path is not None and write:
            with host_errors("create", database.path.parent):
                database.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _connected(database, patience) as connection:
            _update_schema(connection, database, write=write)
            with _transaction(connection, write=write):
                yield connection
    except SQLAlchemyError as error:
        raise HostError(f"history database {database}: {why(error, patience)}") from error


def why(error: SQLAlchemyError, patience: float = PATIENCE) -> str:
    """What is wrong and what can be done about it, in words."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, sqlite3.Error):
        return printable(str(original).strip().partition("\n")[0])
    return sqlite_file.why(original, patience)


@contextmanager
def _connected(database: Database, patience: float) -> Iterator[Connection]:
    """Raises UsageError where the URL or the driver is wrong."""
    try:
        engine = _engine(database, patience)
    except ModuleNotFoundError as error:
        raise UsageError(f"history database {database}: {_NO_DRIVER}") from error
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise UsageError(f"history database {database}: {printable(str(error))}") from error
    with engine.connect() as connection:
        yield connection


def _update_schema(connection: Connection, database: Database, *, write: bool) -> None:
    """Raises HostError, with the database's name, where it is not one that we can use."""
    session = ConnectionSession(connection)
    with naming(str(database)):
        with _transaction(connection, write=False):
            version = found_version(session)
        if 0 < version < VERSION or (version == 0 and write):
            with _transaction(connection, write=True):
                migrate(session)
    if version == 0 and not write:
        raise _nothing_yet(database)


def _nothing_yet(database: Database) -> UsageError:
    return UsageError(f"history database {database}: no run is recorded yet")


@contextmanager
def _transaction(connection: Connection, *, write: bool) -> Iterator[None]:
    """One that is to write locks SQLite's file at once: two that had read before could not both
    go on, and would fail without waiting."""
    connection.info["begin"] = "BEGIN IMMEDIATE" if write else "BEGIN"
    with connection.begin():
        yield


def _engine(database: Database, patience: float) -> Engine:
    if database.path is None:
        url = make_url(database.url)
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername=_DRIVER)
        timeout = {"connect_timeout": max(2, round(patience))}
        return create_engine(url, poolclass=NullPool, connect_args=timeout)
    engine = create_engine(
        URL.create("sqlite", database=str(database.path)),
        poolclass=NullPool,
        # Transactions are begun by us, DDL included, not by the sqlite3 module's own guess.
        connect_args={"timeout": patience, "isolation_level": None},
    )
    event.listen(engine, "connect", _prepared)
    event.listen(engine, "begin", _begun)
    return engine


def _prepared(connection: Any, _: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")


def _begun(connection: Connection) -> None:
    connection.exec_driver_sql(connection.info.get("begin", "BEGIN"))


class ConnectionSession:
    """A :class:`.session.Session` of SQLAlchemy."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def postgresql(self) -> bool:
        """Whether it is PostgreSQL."""
        return self._connection.dialect.name == "postgresql"

    def has_table(self, name: str) -> bool:
        """Whether the database has such a table."""
        return inspect(self._connection).has_table(name)

    def read(self, statement: str, values: Row | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return [tuple(row) for row in self._connection.execute(text(statement), values)]

    def write(self, statement: str, rows: Sequence[Row] | None = None) -> None:
        """Carry a statement out, once for each row, or with None once."""
        self._connection.execute(text(statement), rows)
