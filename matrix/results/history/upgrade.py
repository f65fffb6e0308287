"""From an earlier version of the database's schema to the current one, in one transaction.

=======  ===========================================================================
version  had
=======  ===========================================================================
1        a table for each part of a result: attempts, subtests, measurements, …
2        live migration (``migrations``, ``statistics``, ``hops``), and what an attempt
         of each case took last
3        why a case was skipped
4        the record of a case as JSON (:mod:`.schema`)
=======  ===========================================================================

``cases`` stays as it is. The other tables are read run by run, and go; nothing shows the hops that
they have, whose distributions are kept. Whoever is stopped in between leaves the old tables.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from matrix.errors import HostError
from matrix.inventory import Host, KvmProof, KvmState
from matrix.migrating import MigrationSummary, Statistic
from matrix.model import Architecture, Verdict
from matrix.results.fingerprint import QemuFingerprint, RunInfo, ScenarioSource
from matrix.results.history.record import environment_row, info_text, insert_results
from matrix.results.history.records import json_text, stored
from matrix.results.history.schema import VERSION, create_tables
from matrix.results.history.session import Row, Session
from matrix.results.outcome import WORST_FIRST
from matrix.results.printable import printable

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
    if version < 2:
        _carry_out(session, _SECONDS)
    _carry_out(session, _RENAMED)
    create_tables(session)
    _carry_out(session, _RUNS)
    old = _Old(session, version)
    for run, key in session.read("SELECT id, key FROM runs ORDER BY started"):
        try:
            _copy(session, old, run)
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
    _say(f"history database {database}: done in {time.monotonic() - begun:.1f} s")


def _copy(session: Session, old: "_Old", run: int) -> None:
    info = old.info(run)
    counts = dict(old.read("verdict, count(*)", "old_results", run, "GROUP BY verdict"))
    row: Row = {"id": run, "counts": json_text(counts), "info": info_text(info)}
    session.write("UPDATE runs SET counts = :counts, info = :info WHERE id = :id", [row])
    insert_results(session, old.results(run, info))


def _say(text: str) -> None:
    with suppress(OSError):  # nobody may be reading stderr any more
        print(text, file=sys.stderr, flush=True)


def _carry_out(session: Session, script: str) -> None:
    for statement in script.split(";\n"):
        session.write(statement)


class _Old:
    """The tables of an earlier version."""

    def __init__(self, session: Session, version: int) -> None:
        self._session = session
        self._version = version

    def read(self, columns: str, table: str, run: int, more: str = "") -> list[tuple[Any, ...]]:
        """The rows of a run."""
        query = f"SELECT {columns} FROM {table} WHERE run = :run {more}"  # noqa: S608 - all is ours
        return self._session.read(query, {"run": run})

    def info(self, run: int) -> RunInfo:
        """What a run's ``run.json`` said."""
        columns = "started, tool_version, hostname, arguments, host_architecture, host_kernel"
        columns += ", host_cpus, host_memory, cpu_vendor, cpu_model, kvm_device"
        query = f"SELECT {columns} FROM old_runs WHERE id = :run"  # noqa: S608 - all is ours
        ((started, tool, hostname, arguments, *host),) = self._session.read(query, {"run": run})
        scenarios = self.read("name, file, '', sha256", "scenarios", run)
        binaries = "qemu, architecture, path, version, accelerators, sha256"
        return RunInfo(
            started=started,
            host=Host(*host),
            tool_version=tool,
            hostname=hostname,
            scenarios=tuple(ScenarioSource(*each) for each in scenarios),
            binaries=tuple(
                QemuFingerprint(qemu, Architecture(arch), path, text, tuple(accels.split()), sha256)
                for qemu, arch, path, text, accels, sha256 in self.read(binaries, "binaries", run)
            ),
            proofs=tuple(
                KvmProof(qemu, Architecture(arch), cpu, KvmState(state), reason)
                for qemu, arch, cpu, state, reason in self.read(
                    "qemu, architecture, cpu, state, reason", "proofs", run
                )
            ),
            arguments=tuple(json.loads(arguments) or ()),
        )

    def results(self, run: int, info: RunInfo) -> Iterator[tuple[Row, Row]]:
        """The rows of a run as they are now, each with that of its environment."""
        attempts = self._attempts(run)
        cause = "skip_cause" if self._version >= 3 else "NULL"
        columns = 'case_id, "case", qemu_version, suite_revision, verdict, reason'
        columns += f", old_results.seconds, {cause}"
        joined = 'old_results JOIN cases ON cases.id = "case"'
        for case_id, case, qemu, revision, *values in self.read(columns, joined, run):
            head = dict(zip(("verdict", "reason", "seconds", "skip_cause"), values, strict=True))
            made = attempts.get(case, {})
            for each in made.values():
                each["reason"] = head["reason"] if each["reason"] is None else each["reason"]
            telling = min(made.values(), key=_badness, default=_NONE)
            numbered = [{"number": number, **each} for number, each in made.items()]
            row, planned = stored({**telling, **head, "attempts": numbered})
            environment = environment_row(
                planned,
                info.host,
                qemu_version=qemu,
                accelerator=telling["accelerator"],
                suite_revision=revision,
            )
            yield {"run": run, "case": case_id, **row._asdict()}, environment

    def _attempts(self, run: int) -> dict[int, dict[int, dict[str, Any]]]:
        """Of each case by number, in order; a reason that is None is the case's."""
        subtests: dict[_Key, list[object]] = {}
        columns = '"case", attempt, name, verdict, message'
        for case, number, *subtest in self.read(columns, "subtests", run, "ORDER BY position"):
            subtests.setdefault((case, number), []).append(
                dict(zip(("name", "verdict", "message"), subtest, strict=True))
            )
        metrics: dict[_Key, list[object]] = {}
        columns = '"case", attempt, name, value, unit'
        joined = "measurements JOIN metrics ON metrics.id = metric"
        for case, number, *metric in self.read(columns, joined, run, "ORDER BY metric, ordinal"):
            metrics.setdefault((case, number), []).append(
                dict(zip(("name", "value", "unit"), metric, strict=True))
            )
        hops = self._summaries(run) if self._version >= 2 else {}
        found: dict[int, dict[int, dict[str, Any]]] = {}
        columns = '"case", number, verdict, reason, seconds, accelerator, subtest_counts'
        for case, number, *rest, counts in self.read(columns, "attempts", run, "ORDER BY number"):
            key = (case, number)
            attempt = dict(zip(("verdict", "reason", "seconds", "accelerator"), rest, strict=True))
            found.setdefault(case, {})[number] = {
                **attempt,
                "subtest_counts": json.loads(counts),
                "subtests": subtests.get(key, []),
                "metrics": metrics.get(key, []),
                "hops": hops.get(key),
            }
        return found

    def _summaries(self, run: int) -> dict[_Key, MigrationSummary]:
        statistics: dict[_Key, list[Statistic]] = {}
        columns = '"case", attempt, name, unit, count, p50, p90, p99, max'
        for case, number, *values in self.read(columns, "statistics", run):
            statistics.setdefault((case, number), []).append(Statistic(*values))
        columns = '"case", attempt, broken, seed, hops, completed, as_expected, bad, seconds'
        return {
            (case, number): MigrationSummary(
                hops,
                completed,
                as_expected,
                bad,
                int(seed),
                seconds,
                tuple(statistics.get((case, number), ())),
                tuple(json.loads(broken) or ()),
            )
            for case, number, broken, seed, hops, completed, as_expected, bad, seconds in self.read(
                columns, "migrations", run
            )
        }
