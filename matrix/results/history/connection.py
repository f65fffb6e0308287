"""What the history needs of a database: plain SQL, the same for SQLite and PostgreSQL."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = dict[str, object]
"""Values by the names of columns, or of a statement's parameters, which are written ``:name``."""


class Session(Protocol):
    """A connection to a database; :mod:`.database` opens it."""

    @property
    def postgresql(self) -> bool:
        """Whether it is PostgreSQL, SQLite otherwise."""
        ...

    def transaction(self, *, write: bool) -> AbstractContextManager[None]:
        """A transaction, committed at its end; those that write wait for each other."""
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


def listed(values: Iterable[object]) -> tuple[str, Row]:
    """What stands in ``IN (…)``, and its parameters."""
    row: Row = {f"value{index}": value for index, value in enumerate(values)}
    return ", ".join(f":{name}" for name in row), row
