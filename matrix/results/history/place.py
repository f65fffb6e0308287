"""Which database the history is kept in: an option, ``$MATRIX_DATABASE``, or the default file."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matrix.errors import UsageError
from matrix.places import expanded, state_folder
from matrix.results.files import shown
from matrix.results.printable import printable

DATABASE_VARIABLE = "MATRIX_DATABASE"
"""Names the database; set and empty, there is none."""

STATE_VARIABLE = "MATRIX_STATE"
"""Overrides the directory in which state is kept between runs."""

FILE = "history.sqlite"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PASSWORD = re.compile(r"(//[^/@:?]*:)[^?]*@|(password=)[^&]*")


@dataclass(frozen=True, slots=True)
class Database:
    """Where the history is: a file of SQLite, or a URL of PostgreSQL."""

    path: Path | None
    """Of SQLite's file; None for PostgreSQL."""
    url: str = ""
    """Of PostgreSQL, as given."""

    def __str__(self) -> str:
        """As it may be shown: without a password."""
        if self.path is not None:
            return shown(self.path)
        return printable(_PASSWORD.sub(_hidden, self.url))


def state_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Where state is kept between runs: ``$MATRIX_STATE`` or the platform's place for it."""
    named = environment.get(STATE_VARIABLE)
    return Path(named) if named else state_folder()


def chosen_database(
    option: str | None = None, environment: Mapping[str, str] = os.environ
) -> Database | None:
    """The database that is meant.

    Args:
        option: of the command line, None where there is none; empty for no database.
        environment: where :data:`DATABASE_VARIABLE` is looked up.

    Returns:
        None where there is to be no history.

    Raises:
        UsageError: it is no database that we know.
    """
    named = option if option is not None else environment.get(DATABASE_VARIABLE)
    if named is None:
        return Database(state_directory(environment) / FILE)
    return database_named(named) if named else None


def database_named(text: str) -> Database:
    """The database of a URL, or of the path of SQLite's file.

    Raises:
        UsageError: it is none that we know.
    """
    found = _SCHEME.match(text)
    if found is None:
        return Database(expanded(text))
    kind = found[1].partition("+")[0]
    if kind == "sqlite":
        path = text[found.end() :].partition("?")[0]
        if len(path) < 2 or not path.startswith("/"):
            raise UsageError(
                f"database {printable(text)}: which file? Write sqlite:///FILE for one in this "
                "directory, sqlite:////DIRECTORY/FILE for any other, or only its path"
            )
        return Database(expanded(path[1:]))
    if kind in ("postgresql", "postgres"):
        return Database(None, text)
    raise UsageError(
        f"database {printable(text)}: {printable(kind)} is not known; write the path of a file "
        "(SQLite), or postgresql://USER@HOST/NAME"
    )


def _hidden(found: re.Match[str]) -> str:
    return f"{found[1]}***@" if found[1] else f"{found[2]}***"
