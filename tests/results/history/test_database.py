"""What can be wrong with a database, and what is said of it."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import HostError, UsageError
from matrix.model import AcceleratorLabel
from matrix.results.history import server
from matrix.results.history.database import opened
from matrix.results.history.durations import known_durations
from matrix.results.history.place import Database, database_named
from matrix.results.history.writer import record_run
from tests import make
from tests.results.history.conftest import Nights

LABELS = {"smoke.one.x86_64.auto": AcceleratorLabel.TCG}


def record(database: Database, night: Any, **more: Any) -> None:
    record_run(database, night({"one": make.attempt()}), **more)


@pytest.mark.parametrize(
    "content",
    [b"this is no database, but it is long enough to be read as the head of one" * 4, b"{}" * 999],
)
def test_a_file_that_is_no_database(sqlite: Database, night: Nights, content: bytes) -> None:
    assert sqlite.path is not None
    sqlite.path.parent.mkdir()
    sqlite.path.write_bytes(content)
    with pytest.raises(HostError, match=r"history\.sqlite: it is damaged, or no .*--import RUN…"):
        record(sqlite, night)
    assert sqlite.path.read_bytes() == content
    assert known_durations(sqlite, ["smoke"], LABELS) == {}


def test_a_damaged_database(sqlite: Database, night: Nights) -> None:
    record(sqlite, night)
    assert sqlite.path is not None
    data = bytearray(sqlite.path.read_bytes())
    data[100:] = b"\xa5" * (len(data) - 100)
    sqlite.path.write_bytes(data)
    with pytest.raises(HostError, match="it is damaged"):
        record(sqlite, night)
    assert known_durations(sqlite, ["smoke"], LABELS) == {}


def test_an_empty_file_is_a_new_database(sqlite: Database, night: Nights) -> None:
    assert sqlite.path is not None
    sqlite.path.parent.mkdir()
    sqlite.path.touch()
    with pytest.raises(UsageError, match="no run is recorded yet"), opened(sqlite):
        pass
    record(sqlite, night)


@pytest.fixture
def locked(sqlite: Database, night: Nights) -> Iterator[Database]:
    """A database that another process is writing, for as long as the test takes."""
    record(sqlite, night)
    assert sqlite.path is not None
    connection = sqlite3.connect(sqlite.path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    yield sqlite
    connection.close()


def test_a_locked_database(locked: Database, night: Nights) -> None:
    with pytest.raises(HostError, match=r"another process has held it for 0\.1 s"):
        record(locked, night, patience=0.1)
    with pytest.raises(HostError, match="another process"), opened(locked, patience=0.1):
        pass


def test_a_locked_database_does_not_hold_a_run_up(
    locked: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.results.history.durations.PATIENCE", 0.05)
    assert known_durations(locked, ["smoke"], LABELS) == {}


def test_a_place_that_cannot_be_written(tmp_path: Path, night: Nights) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match=r"cannot create .*file/state: Not a directory"):
        record(Database(tmp_path / "file/state/history.sqlite"), night)


def test_a_database_that_cannot_be_written(sqlite: Database, night: Nights) -> None:
    record(sqlite, night)
    assert sqlite.path is not None
    if os.geteuid() == 0:
        pytest.skip("nothing is unwritable for root")
    sqlite.path.chmod(0o400)
    with pytest.raises(HostError, match=r"it cannot be written there .*--database"):
        record_run(sqlite, night({"two": make.attempt()}, day=2))
    assert known_durations(sqlite, ["smoke"], LABELS)


def test_a_folder_in_its_place(tmp_path: Path, night: Nights) -> None:
    with pytest.raises(HostError, match="it cannot be written there"):
        record(Database(tmp_path), night)


def test_a_full_disk(sqlite: Database, night: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says the same of a database that may have no more pages."""
    record(sqlite, night)
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def bounded(*arguments: Any, **more: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **more)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    tests = {f"test{number}": make.attempt(reason="x" * 500) for number in range(500)}
    full = night(tests, day=2)
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", bounded)
        with pytest.raises(HostError, match="no space is left"):
            record_run(sqlite, full)
    with opened(sqlite) as session:
        assert session.read("SELECT count(*) FROM runs") == [(1,)]


def test_no_server(tmp_path: Path, night: Nights) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    nobody = Database(None, f"postgresql://me:secret@/history?host={tmp_path}")
    with pytest.raises(HostError) as raised:
        record(nobody, night)
    assert "connection" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert known_durations(nobody, ["smoke"], LABELS) == {}


@pytest.mark.parametrize("server", ["postgresql"])  # by that name one worker starts it for all
def test_no_such_database_on_the_server(server: str, postgresql: Database, night: Nights) -> None:
    other = Database(None, postgresql.url.replace("/history", "/nonesuch"))
    with pytest.raises(HostError, match=r"nonesuch.*does not exist"):
        record(other, night)


def test_no_driver(night: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr(server, "create_engine", missing)
    with pytest.raises(UsageError, match=r"pip install 'qemu-matrix\[postgresql\]'"):
        record(database_named("postgresql://localhost/history"), night)


@pytest.mark.parametrize("url", ["postgresql://host:port/name", "postgresql+nonesuch://host/name"])
def test_a_url_that_is_none(url: str, night: Nights) -> None:
    with pytest.raises(UsageError, match="history database postgresql"):
        record(database_named(url), night)


def test_nothing_recorded_yet(database: Database, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run is recorded yet"), opened(database):
        pass
    assert not list(tmp_path.iterdir())
