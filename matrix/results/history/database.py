"""Opens the history's database, brings its schema up to date, and says in words what is wrong.

A file of SQLite is opened with the standard library, which takes milliseconds; only a server needs
SQLAlchemy (:mod:`.server`), which takes a fifth of a second to load. Every run writes its history
when it ends, and a short one must not wait for that.

SQLite keeps its rollback journal: a run writes one transaction, readers are few, and unlike a
write-ahead log it also works on a network file system and can be read where nothing can be written.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any
from urllib.parse import quote

from matrix.errors import HostError, UsageError
from matrix.results.files import host_errors
from matrix.results.history.connection import Row, Session
from matrix.results.history.database_schema import (
    REBUILT,
    VERSION,
    create_tables,
    found_version,
)
from matrix.results.history.place import Database
from matrix.results.printable import printable

PATIENCE = 10.0
"""Seconds to wait for another process that writes, or for a server that does not answer."""

_AGAIN = "move it away and a new one is begun; matrix history --import RUN… fills it again"


@contextmanager
def opened(
    database: Database, *, write: bool = False, patience: float = PATIENCE
) -> Iterator[Session]:
    """One transaction, committed at the end, in a database whose schema is up to date.

    Args:
        database: which one; one that is to be written is made where it does not exist.
        write: whether it will be written. One that is only read is still brought up to date.
        patience: seconds to wait for others.

    Raises:
        UsageError: the URL is wrong, its driver is not installed, or there is nothing to read yet.
        HostError: it is damaged, locked, full, unreachable, or of a newer version.
    """
    if database.path is not None and write:
        with host_errors("create", database.path.parent):
            database.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif database.path is not None:
        with host_errors("read", database.path):
            if not database.path.exists():
                raise _nothing_yet(database)
    with connected(database, create=write, patience=patience) as session:
        _update_schema(session, database, write=write)
        with session.transaction(write=write):
            yield session


@contextmanager
def connected(
    database: Database, *, create: bool = False, patience: float = PATIENCE
) -> Iterator[Session]:
    """A connection, whatever the database holds.

    Args:
        database: which one.
        create: make a file that does not exist; else that is an error.
        patience: seconds to wait for others.

    Raises:
        UsageError: the URL is wrong, or its driver is not installed.
        HostError: instead of any error of the database, while it is open.
    """
    if database.path is None:
        from matrix.results.history.server import connected_server

        with connected_server(database, patience) as session:
            yield session
        return
    uri = f"file:{quote(str(database.path))}?mode={'rwc' if create else 'rw'}"
    try:
        # Transactions are begun by us, not by the sqlite3 module's own guess.
        with closing(sqlite3.connect(uri, patience, isolation_level=None, uri=True)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            yield _FileSession(connection)
    except sqlite3.Error as error:
        raise HostError(f"history database {database}: {_why(error, patience)}") from error


def _update_schema(session: Session, database: Database, *, write: bool) -> None:
    """Raises HostError, with the database's name, where it is not one that we can use."""
    try:
        with session.transaction(write=False):
            version = found_version(session)
        if version == 0 and not write:
            raise _nothing_yet(database)
        if version < VERSION:
            with session.transaction(write=True):
                version = found_version(session)  # another process may have been faster
                if version == 0:
                    create_tables(session)
                elif version < VERSION:
                    from matrix.results.history.upgrade import upgrade

                    upgrade(session, version, str(database))
    except HostError as error:
        raise HostError(f"history database {database}: {error}") from error
    if 0 < version < REBUILT and not session.postgresql:
        with suppress(sqlite3.Error):  # the old tables' room: another process may be reading
            session.write("VACUUM")


def _nothing_yet(database: Database) -> UsageError:
    return UsageError(f"history database {database}: no run is recorded yet")


def _why(error: sqlite3.Error, patience: float) -> str:
    """What is wrong and what can be done about it, in words."""
    # The low byte is the code without its details (https://sqlite.org/rescode.html).
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return f"it is damaged, or no database of SQLite ({error}): {_AGAIN}"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"another process has held it for {patience:g} s ({error})"
        case sqlite3.SQLITE_FULL:
            return f"no space is left ({error})"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return f"it cannot be written there ({error}): name another one with --database"
        case _:
            return printable(str(error))


class _FileSession:
    """A :class:`.connection.Session` of the sqlite3 module."""

    postgresql = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[None]:
        """One that is to write locks the file at once: two that had read before could not both go
        on, and would fail without waiting."""
        self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            self._connection.rollback()  # does nothing where there is no transaction any more

    def has_table(self, name: str) -> bool:
        # Unlike a look into sqlite_master it also finds a name in capitals.
        return bool(self.read("SELECT 1 FROM pragma_table_info(:name)", {"name": name}))

    def read(self, statement: str, values: Row | None = None) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values or {}).fetchall()

    def write(self, statement: str, rows: Sequence[Row] | None = None) -> None:
        if rows is None:
            self._connection.execute(statement)
        else:
            self._connection.executemany(statement, rows)
