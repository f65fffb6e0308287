"""What writing the history needs of a database: plain SQL, the same for SQLite and PostgreSQL.

SQLite's is :mod:`.sqlite_file`, of the standard library alone; PostgreSQL's is in :mod:`.store`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

Row = dict[str, object]
"""A row of a table by the names of its columns."""


class Session(Protocol):
    """A connection within a transaction. Parameters are named: ``:name``."""

    @property
    def postgresql(self) -> bool:
        """Whether it is PostgreSQL, SQLite otherwise."""
        ...

    def has_table(self, name: str) -> bool:
        """Whether the database has such a table."""
        ...

    def read(self, statement: str, values: Row | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        ...

    def write(self, statement: str, rows: Sequence[Row] | None = None) -> None:
        """Carry a statement out, once for each row; with None, which DDL needs, once."""
        ...


def insertion(table: str, columns: Iterable[str]) -> str:
    """The statement that inserts a row; the names are ours, never a stranger's."""
    names = list(columns)
    quoted = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(f":{name}" for name in names)
    return f"INSERT INTO {table} ({quoted}) VALUES ({values})"  # noqa: S608 - see above
