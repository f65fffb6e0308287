"""Writes to the history in a file of SQLite, with the standard library alone.

Every run does this when it ends, and a short one must not wait for more to be loaded: this takes
milliseconds, SQLAlchemy a fifth of a second before its first statement.

SQLite keeps its rollback journal: a run writes one transaction when it ends, readers are few, and
unlike a write-ahead log it also works on a network file system and can be read where nothing can be
written. Writers queue up for :data:`PATIENCE` seconds.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from matrix.errors import HostError
from matrix.results.files import host_errors, shown
from matrix.results.history.migrations import migrate
from matrix.results.history.session import Row, Session
from matrix.results.printable import printable

PATIENCE = 10.0
"""Seconds to wait for another process that writes, or for a server that does not answer."""

_AGAIN = "move it away and a new one is begun; matrix history --import RUN… fills it again"


@contextmanager
def written_file(path: Path, patience: float = PATIENCE) -> Iterator[Session]:
    """A transaction that may write, committed at the end; the schema is up to date in it.

    Args:
        path: of the file; made where it does not exist.
        patience: seconds to wait for others.

    Raises:
        HostError: it is damaged, locked, full, unwritable, not ours, or of a newer version.
    """
    with host_errors("create", path.parent):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # Transactions are begun by us, not by the sqlite3 module's own guess. Closing rolls back.
        with closing(sqlite3.connect(path, patience, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            # The file is locked at once: two that had read before they write could not both go on.
            connection.execute("BEGIN IMMEDIATE")
            session = _FileSession(connection)
            with naming(shown(path)):
                migrate(session)
            yield session
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise HostError(f"history database {shown(path)}: {why(error, patience)}") from error


@contextmanager
def naming(database: str) -> Iterator[None]:
    """Put the database's name before what is wrong with its schema.

    Raises:
        HostError: instead of any HostError inside.
    """
    try:
        yield
    except HostError as error:
        raise HostError(f"history database {database}: {error}") from error


def why(error: sqlite3.Error, patience: float = PATIENCE) -> str:
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
    """A :class:`.session.Session` of the sqlite3 module."""

    postgresql = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

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
