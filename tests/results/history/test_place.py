"""Which database is meant."""

from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.results.history.place import Database, chosen_database, database_named


def test_the_default_is_a_file_of_the_state_directory() -> None:
    state = {"MATRIX_STATE": "/state"}
    assert chosen_database(None, state) == Database(Path("/state/history.sqlite"))


def test_the_option_wins_and_empty_means_none() -> None:
    environment = {"MATRIX_DATABASE": "/from/environment.sqlite", "MATRIX_STATE": "/state"}
    assert chosen_database(None, environment) == Database(Path("/from/environment.sqlite"))
    assert chosen_database("a.sqlite", environment) == Database(Path("a.sqlite"))
    assert chosen_database("", environment) is None
    assert chosen_database(None, {"MATRIX_DATABASE": "", "MATRIX_STATE": "/state"}) is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///here.sqlite", "here.sqlite"),
        ("sqlite:////absolute/here.sqlite", "/absolute/here.sqlite"),
        ("sqlite+pysqlite:////x?timeout=3", "/x"),
        ("some/where.db", "some/where.db"),
    ],
)
def test_files(text: str, path: str) -> None:
    assert database_named(text) == Database(Path(path))


@pytest.mark.parametrize("text", ["sqlite://", "sqlite:///", "sqlite://host/file"])
def test_a_url_without_a_file(text: str) -> None:
    with pytest.raises(UsageError, match="which file"):
        database_named(text)


def test_an_unknown_kind() -> None:
    with pytest.raises(UsageError, match="mysql is not known; write the path"):
        database_named("mysql://host/name")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cr:et@host/name", "postgresql://me:***@host/name"),
        ("postgresql://me@host:5432/name", "postgresql://me@host:5432/name"),
        ("postgresql:///n?password=x&host=/tmp", "postgresql:///n?password=***&host=/tmp"),
        ("postgresql://me:p@ss@host/name", "postgresql://me:***@host/name"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert str(database_named(url)) == shown
