"""A history on a PostgreSQL server, through SQLAlchemy: its URLs, its driver, its errors."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from matrix.errors import HostError, UsageError
from matrix.results.history.connection import Row, Session
from matrix.results.history.place import Database
from matrix.results.printable import printable

_DRIVER = "postgresql+psycopg"

_NO_DRIVER = (
    "psycopg is not installed: pip install 'qemu-matrix[postgresql]', or name a file instead"
)

_LOCK = 0x6D617472
"""Number of the advisory lock that those who write take."""


@contextmanager
def connected_server(database: Database, patience: float) -> Iterator[Session]:
    """A connection. Arguments and what is raised as :func:`.database.connected`."""
    try:
        url = make_url(database.url)
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername=_DRIVER)
        timeout = {"connect_timeout": max(2, round(patience))}
        engine = create_engine(url, poolclass=NullPool, connect_args=timeout)
    except ModuleNotFoundError as error:
        raise UsageError(f"history database {database}: {_NO_DRIVER}") from error
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise UsageError(f"history database {database}: {printable(str(error))}") from error
    try:
        with engine.connect() as connection:
            yield _ServerSession(connection, patience)
    except SQLAlchemyError as error:
        original = error.orig if isinstance(error, DBAPIError) else error
        why = printable(str(original).strip().partition("\n")[0])
        raise HostError(f"history database {database}: {why}") from error


class _ServerSession:
    """A :class:`.connection.Session` of SQLAlchemy."""

    postgresql = True

    def __init__(self, connection: Connection, patience: float) -> None:
        self._connection = connection
        self._patience = patience

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[None]:
        """Those that write take a lock: what two of them insert in another order would deadlock."""
        with self._connection.begin():
            if write:
                milliseconds = str(round(self._patience * 1000))
                self.read("SELECT set_config('lock_timeout', :t, true)", {"t": milliseconds})
                self.read("SELECT pg_advisory_xact_lock(:lock)", {"lock": _LOCK})
            yield

    def has_table(self, name: str) -> bool:
        return inspect(self._connection).has_table(name)

    def read(self, statement: str, values: Row | None = None) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._connection.execute(text(statement), values)]

    def write(self, statement: str, rows: Sequence[Row] | None = None) -> None:
        self._connection.execute(text(statement), rows)
