"""Databases to keep a history in: a file of SQLite, and a real server of PostgreSQL."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from matrix.inventory import KvmProof, KvmState
from matrix.model import Architecture
from matrix.results.history.place import Database
from matrix.results.recorder import Recorder
from matrix.results.run_info import QemuFingerprint, ScenarioSource
from matrix.results.run_record import RunRecord
from tests import make


@dataclass
class Server:
    """A server of PostgreSQL that listens on a socket in its folder, and nowhere else."""

    folder: Path
    programs: Path
    as_user: tuple[str, ...]

    def run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self.as_user, str(self.programs / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """The newest server that is installed, with an empty cluster of its own."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    initdb = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *_in_path("initdb")]
    if not initdb:
        pytest.skip("no PostgreSQL server is installed (.ci/install-packages postgresql)")
    programs = max(initdb, key=lambda path: (len(path.parts), path)).parent
    # Not below pytest's own folder: the path of a socket is short, and root's folders are closed.
    folder = Path(tempfile.mkdtemp(prefix="matrix-postgresql-", dir="/tmp"))
    try:
        server = Server(folder, programs, _not_root(folder))
        data = str(folder / "data")
        server.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        server.run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield server
        finally:
            server.run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _in_path(program: str) -> list[Path]:
    found = shutil.which(program)
    return [Path(found).resolve()] if found else []


def _not_root(folder: Path) -> tuple[str, ...]:
    """The server refuses to run as root: what it is started with, and whose its folder is."""
    if os.geteuid() != 0:
        return ()
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")


_numbers = count(1)


@pytest.fixture
def postgresql(postgresql_server: Server) -> Iterator[Database]:
    """A new, empty database of the server."""
    name = f"history{next(_numbers)}"
    postgresql_server.run("createdb", "-h", str(postgresql_server.folder), "-U", "postgres", name)
    yield Database(None, postgresql_server.url(name))
    postgresql_server.run(
        "dropdb", "--force", "-h", str(postgresql_server.folder), "-U", "postgres", name
    )


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    """A file that does not exist yet, in a folder that does not either."""
    return Database(tmp_path / "state" / "history.sqlite")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Either of them."""
    database: Database = request.getfixturevalue(request.param)
    return database


Nights = Callable[..., RunRecord]


@pytest.fixture
def night(tmp_path: Path) -> Nights:
    """Makes runs, a day after each other, in which each test came to these attempts.

    ``None`` for one that is planned and not run, a text for the reason of a skip.
    """

    def record(
        tests: dict[str, Any],
        *,
        day: int = 1,
        qemu: str = "7.2.22",
        kernel: str = "6.1.0",
        hostname: str = "builder",
        revision: str = "",
        scenario: str = "smoke",
        **more: Any,
    ) -> RunRecord:
        results: list[tuple[Any, Sequence[Any]]] = []
        for name, outcome in tests.items():
            given = outcome if isinstance(outcome, list) else [outcome]
            case = make.case(name, scenario=scenario, repeat=len(given))
            case = replace(case, build=replace(case.build, revision=revision))
            if isinstance(outcome, str):
                results.append((make.skip(case, outcome), []))
                continue
            attempts = [
                replace(each, number=number)
                for number, each in enumerate(given, start=1)
                if each is not None
            ]
            results.append((make.run(case), attempts))
        x86 = Architecture.X86_64
        info = make.info(
            binaries=(QemuFingerprint("system", x86, "/usr/bin/qemu", qemu, ("tcg", "kvm")),),
            proofs=(KvmProof("system", x86, "", KvmState.UNAVAILABLE, "no device"),),
            arguments=("run", "smoke.yaml"),
            **more,
        )
        info = replace(
            info,
            scenarios=(ScenarioSource.of(scenario, f"{scenario}.yaml", f"name: {scenario}\n"),),
            started=f"2026-11-{day:02}T21:30:00.000Z",
            hostname=hostname,
            host=replace(info.host, kernel=kernel, cpu_model="Neoverse"),
        )
        path = tmp_path / f"run-{next(_numbers)}"
        with Recorder.start(path, info, [decision for decision, _ in results]) as recorder:
            for decision, made in results:
                for attempt in made:
                    recorder.begin(decision.case, attempt.number)
                    recorder.finish(decision.case, attempt)
        return recorder.record

    return record
