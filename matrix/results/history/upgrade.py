"""From an earlier version of the database's schema to the current one, in one transaction.

=======  ===========================================================================
version  had
=======  ===========================================================================
1        a table for each part of a result: attempts, subtests, measurements, …
2        live migration (``migrations``, ``statistics``, ``hops``), and what an attempt
         of each case took last
3        why a case was skipped
4        the record of a case as JSON (:mod:`.database_schema`)
5        the digest of what a result follows from
=======  ===========================================================================

Version 4 gets a column. Of earlier ones ``cases`` stays as it is; the other tables are read run by
run, and go. Nothing shows the hops that they have, whose distributions are kept. Whoever is stopped
in between leaves the old tables.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from matrix.errors import HostError
from matrix.inventory import Host, KvmProof, KvmState
from matrix.migrating import Statistic
from matrix.model import Architecture
from matrix.results.history.connection import Row, Session
from matrix.results.history.database_schema import REBUILT, VERSION, create_tables
from matrix.results.history.records import json_text, stored
from matrix.results.history.rows import environment_row, info_text, insert_results
from matrix.results.outcome import WORST_FIRST
from matrix.results.printable import printable
from matrix.results.run_info import QemuFingerprint, RunInfo, ScenarioSource
from matrix.verdicts import Verdict

_Key = tuple[int, int]
"""The numbers of a case and an attempt."""

_RENAMED = """
ALTER TABLE runs RENAME TO old_runs;
ALTER TABLE results RENAME TO old_results
"""

_RUNS = """
INSERT INTO runs SELECT
    id, key, started, finished, hostname, exit_code, elapsed, directory, '', ''
FROM old_runs
"""

_INPUTS = """
ALTER TABLE results ADD COLUMN input_digest TEXT;
CREATE INDEX results_by_inputs ON results (input_digest)
"""

_GONE = (
    "hops",
    "statistics",
    "migrations",
    "measurements",
    "metrics",
    "subtests",
    "attempts",
    "old_results",
    "proofs",
    "binaries",
    "scenarios",
    "old_runs",
)
"""Those that refer to others first."""

_SECONDS = """
ALTER TABLE cases ADD COLUMN seconds FLOAT;
ALTER TABLE cases ADD COLUMN seconds_at TEXT;
UPDATE cases SET seconds_at = (
    SELECT max(runs.started) FROM attempts JOIN runs ON runs.id = attempts.run
    WHERE attempts."case" = cases.id
);
UPDATE cases SET seconds = (
    SELECT avg(attempts.seconds) FROM attempts JOIN runs ON runs.id = attempts.run
    WHERE attempts."case" = cases.id AND runs.started = cases.seconds_at
)
"""


_NONE: dict[str, Any] = {"accelerator": ""}


def _badness(attempt: dict[str, Any]) -> int:
    """Raises ValueError where the verdict is none of ours."""
    return WORST_FIRST.index(Verdict(attempt["verdict"]))


def upgrade(session: Session, version: int, database: str) -> None:
    """Bring the tables of an earlier version to the current one, and say so on stderr.

    Args:
        session: in a transaction that writes.
        version: that it has.
        database: its name, to be shown.

    Raises:
        HostError: it has what this program does not write.
    """
    begun = time.monotonic()
    ((results,),) = session.read("SELECT count(*) FROM results")
    _say(f"history database {database}: bringing {results:,} results to schema {VERSION} …")
    if version == REBUILT:
        _carry_out(session, _INPUTS)
        session.write("UPDATE history_version SET version = :version", [{"version": VERSION}])
    else:
        _rebuild(session, version)
    _say(f"history database {database}: done in {time.monotonic() - begun:.1f} s")


def _rebuild(session: Session, version: int) -> None:
    """From one of the versions before :data:`REBUILT`. Raises as :func:`upgrade`."""
    if version < 2:
        _carry_out(session, _SECONDS)
    _carry_out(session, _RENAMED)
    create_tables(session)
    _carry_out(session, _RUNS)
    for run, key in session.read("SELECT id, key FROM runs ORDER BY started"):
        try:
            _copy(session, _Old(session, version, run), run)
        except ValueError as error:
            raise HostError(
                f"what it has of run {printable(key)} is not what this program writes: "
                f"{printable(str(error))}"
            ) from error
    for table in filter(session.has_table, _GONE):
        session.write(f"DROP TABLE {table}")
    if session.postgresql:
        last = "(SELECT coalesce(max(id), 1) FROM runs)"
        session.read(f"SELECT setval(pg_get_serial_sequence('runs', 'id'), {last})")


def _copy(session: Session, old: "_Old", run: int) -> None:
    info = old.info()
    counts = old.read("verdict, count(*) AS count", "old_results", "GROUP BY verdict")
    text = json_text({each["verdict"]: each["count"] for each in counts})
    row: Row = {"id": run, "counts": text, "info": info_text(info)}
    session.write("UPDATE runs SET counts = :counts, info = :info WHERE id = :id", [row])
    if rows := list(old.results(info)):
        insert_results(session, rows)


def _say(text: str) -> None:
    with suppress(OSError):  # nobody may be reading stderr any more
        print(text, file=sys.stderr, flush=True)


def _carry_out(session: Session, script: str) -> None:
    for statement in script.split(";\n"):
        session.write(statement)


class _Old:
    """A run in the tables of an earlier version."""

    def __init__(self, session: Session, version: int, run: int) -> None:
        self._session = session
        self._version = version
        self._run = run

    def read(self, columns: str, table: str, more: str = "") -> list[dict[str, Any]]:
        """The rows of the run by the names of their columns."""
        names = [each.rpartition(" ")[2].strip('"') for each in columns.split(", ")]
        query = f"SELECT {columns} FROM {table} WHERE run = :run {more}"  # noqa: S608 - all is ours
        rows = self._session.read(query, {"run": self._run})
        return [dict(zip(names, row, strict=True)) for row in rows]

    def info(self) -> RunInfo:
        """What its ``run.json`` said."""
        columns = "started, tool_version, hostname, arguments, host_architecture, host_kernel"
        columns += ", host_cpus, host_memory, cpu_vendor, cpu_model, kvm_device"
        query = f"SELECT {columns} FROM old_runs WHERE id = :run"  # noqa: S608 - all is ours
        ((started, tool, hostname, arguments, *host),) = self._session.read(
            query, {"run": self._run}
        )
        binaries = self.read("qemu, architecture, path, version, accelerators, sha256", "binaries")
        proofs = self.read("qemu, architecture, cpu, state, reason", "proofs")
        for each in (*binaries, *proofs):
            each["architecture"] = Architecture(each["architecture"])
        return RunInfo(
            started=started,
            host=Host(*host),
            tool_version=tool,
            hostname=hostname,
            scenarios=tuple(
                ScenarioSource(text="", **each)
                for each in self.read("name, file, sha256", "scenarios")
            ),
            binaries=tuple(
                QemuFingerprint(**{**each, "accelerators": tuple(each["accelerators"].split())})
                for each in binaries
            ),
            proofs=tuple(KvmProof(**{**each, "state": KvmState(each["state"])}) for each in proofs),
            arguments=tuple(json.loads(arguments) or ()),
        )

    def results(self, info: RunInfo) -> Iterator[tuple[Row, Row]]:
        """The rows of the environment and of the result of each case."""
        attempts = self._attempts()
        columns = 'case_id AS id, scenario, suite, test, "case", verdict, reason'
        columns += ", old_results.seconds AS seconds, qemu_version, suite_revision"
        columns += ", skip_cause" if self._version >= 3 else ""
        for case in self.read(columns, 'old_results JOIN cases ON cases.id = "case"'):
            made = attempts.get(case.pop("case"), [])
            for each in made:
                each["reason"] = case["reason"] if each["reason"] is None else each["reason"]
            telling = min(made, key=_badness, default=_NONE)
            qemu, revision = case.pop("qemu_version"), case["suite_revision"]
            _, planned, row = stored(
                {**telling, **case, "number": None, "axes": {}, "attempts": made}
            )
            environment = environment_row(
                planned,
                info.host,
                qemu_version=qemu,
                accelerator=telling["accelerator"],
                suite_revision=revision,
            )
            yield environment, {**row, "run": self._run}

    def _attempts(self) -> dict[int, list[dict[str, Any]]]:
        """Of each case, in order; a reason that is None is the case's."""
        subtests = self._details("name, verdict, message", "subtests", "position")
        joined = "measurements JOIN metrics ON metrics.id = metric"
        metrics = self._details("name, value, unit", joined, "metric, ordinal")
        hops = self._hops() if self._version >= 2 else {}
        columns = '"case", number AS attempt, verdict, reason, seconds, accelerator, subtest_counts'
        found: dict[int, list[dict[str, Any]]] = {}
        for row in self.read(columns, "attempts", "ORDER BY number"):
            key = case, number = row.pop("case"), row.pop("attempt")
            row["subtest_counts"] = json.loads(row["subtest_counts"])
            more = {"subtests": subtests.get(key, []), "metrics": metrics.get(key, [])}
            found.setdefault(case, []).append(
                {"number": number, **row, **more, "hops": hops.get(key)}
            )
        return found

    def _hops(self) -> dict[_Key, dict[str, Any]]:
        columns = "name, unit, count, p50, p90, p99, max"
        statistics = self._details(columns, "statistics", "name")
        columns = "hops, completed, as_expected, bad, seed, seconds, broken"
        return {
            key: {
                **row,
                "seed": int(row["seed"]),
                "broken": json.loads(row["broken"]) or [],
                "statistics": [Statistic(**each) for each in statistics.get(key, ())],
            }
            for key, (row,) in self._details(columns, "migrations", "attempt").items()
        }

    def _details(self, columns: str, table: str, order: str) -> dict[_Key, list[dict[str, Any]]]:
        """Rows by case and attempt."""
        found: dict[_Key, list[dict[str, Any]]] = {}
        for row in self.read(f'"case", attempt, {columns}', table, f"ORDER BY {order}"):
            found.setdefault((row.pop("case"), row.pop("attempt")), []).append(row)
        return found
