"""From any earlier version of the database's schema to the current one, step by step.

A new database takes all the steps, so there is one way to the current schema. A step that was
released is never changed: what is in :mod:`.schema` is compared with what the steps make by a test.

=======  ===========================================================================
version  has
=======  ===========================================================================
1        runs with their fingerprints, cases, attempts, subtests, measurements
2        live migration (``migrations``, ``statistics``, ``hops``), and what an attempt
         of each case took last, filled in from the attempts that were recorded
=======  ===========================================================================
"""

import re

from matrix.errors import HostError
from matrix.results.history.session import Row, Session, insertion

_REFERENCE = """CONSTRAINT {table}_attempt FOREIGN KEY (run, "case", attempt)
        REFERENCES attempts (run, "case", number) ON DELETE CASCADE"""

_VERSION_1 = """
CREATE TABLE history_version (version INTEGER NOT NULL);

CREATE TABLE runs (
    id {serial} NOT NULL PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    started TEXT NOT NULL,
    recorded TEXT NOT NULL,
    finished BOOLEAN NOT NULL,
    exit_code INTEGER NOT NULL,
    elapsed FLOAT NOT NULL,
    directory TEXT NOT NULL,
    tool_version TEXT NOT NULL,
    hostname TEXT NOT NULL,
    host_architecture TEXT NOT NULL,
    host_kernel TEXT NOT NULL,
    host_cpus BIGINT NOT NULL,
    host_memory BIGINT NOT NULL,
    cpu_vendor TEXT NOT NULL,
    cpu_model TEXT NOT NULL,
    kvm_device TEXT NOT NULL,
    arguments TEXT NOT NULL
);
CREATE INDEX ix_runs_started ON runs (started);

CREATE TABLE scenarios (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (run, name)
) {compact};

CREATE TABLE binaries (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    qemu TEXT NOT NULL,
    architecture TEXT NOT NULL,
    path TEXT NOT NULL,
    version TEXT NOT NULL,
    accelerators TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (run, qemu, architecture)
) {compact};

CREATE TABLE proofs (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    qemu TEXT NOT NULL,
    architecture TEXT NOT NULL,
    cpu TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (run, qemu, architecture, cpu)
) {compact};

CREATE TABLE cases (
    id {serial} NOT NULL PRIMARY KEY,
    case_id TEXT NOT NULL UNIQUE,
    scenario TEXT NOT NULL,
    suite TEXT NOT NULL,
    test TEXT NOT NULL,
    axes TEXT NOT NULL
);
CREATE INDEX ix_cases_scenario ON cases (scenario);

CREATE TABLE results (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    accelerator TEXT NOT NULL,
    qemu_version TEXT NOT NULL,
    suite_revision TEXT NOT NULL,
    PRIMARY KEY (run, "case")
) {compact};
CREATE INDEX results_of_case ON results ("case", run);

CREATE TABLE attempts (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, number INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    reason TEXT,
    accelerator TEXT NOT NULL,
    subtest_counts TEXT NOT NULL,
    PRIMARY KEY (run, "case", number),
    CONSTRAINT attempts_result FOREIGN KEY (run, "case")
        REFERENCES results (run, "case") ON DELETE CASCADE
) {compact};

CREATE TABLE subtests (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    verdict TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (run, "case", attempt, position),
    {subtests_attempt}
) {compact};

CREATE TABLE metrics (
    id {serial} NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    CONSTRAINT metrics_name UNIQUE (name, unit)
);

CREATE TABLE measurements (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    metric INTEGER NOT NULL REFERENCES metrics (id),
    ordinal INTEGER NOT NULL,
    value FLOAT NOT NULL,
    PRIMARY KEY (run, "case", attempt, metric, ordinal),
    {measurements_attempt}
) {compact}
"""

_VERSION_2 = """
ALTER TABLE cases ADD COLUMN seconds FLOAT;
ALTER TABLE cases ADD COLUMN seconds_at TEXT;

UPDATE cases SET seconds_at = (
    SELECT max(runs.started) FROM attempts JOIN runs ON runs.id = attempts.run
    WHERE attempts."case" = cases.id
);
UPDATE cases SET seconds = (
    SELECT avg(attempts.seconds) FROM attempts JOIN runs ON runs.id = attempts.run
    WHERE attempts."case" = cases.id AND runs.started = cases.seconds_at
);

CREATE TABLE migrations (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    hops BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    as_expected BIGINT NOT NULL,
    bad BIGINT NOT NULL,
    seed TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    broken TEXT NOT NULL,
    PRIMARY KEY (run, "case", attempt),
    {migrations_attempt}
) {compact};

CREATE TABLE statistics (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    count BIGINT NOT NULL,
    p50 FLOAT NOT NULL,
    p90 FLOAT NOT NULL,
    p99 FLOAT NOT NULL,
    max FLOAT NOT NULL,
    PRIMARY KEY (run, "case", attempt, name),
    {statistics_attempt}
) {compact};

CREATE TABLE hops (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    number BIGINT NOT NULL,
    begun FLOAT NOT NULL,
    strategy TEXT NOT NULL,
    transport TEXT NOT NULL,
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    outcome TEXT NOT NULL,
    good BOOLEAN NOT NULL,
    fault TEXT,
    reason TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    total_time FLOAT,
    setup_time FLOAT,
    downtime FLOAT,
    stop_to_resume FLOAT,
    blackout FLOAT,
    silence FLOAT,
    clock_jump FLOAT,
    transferred BIGINT,
    passes BIGINT,
    dirty_rate BIGINT,
    throughput FLOAT,
    throttle BIGINT,
    PRIMARY KEY (run, "case", attempt, number),
    {hops_attempt}
) {compact}
"""

_VERSION_3 = """
ALTER TABLE results ADD COLUMN skip_cause TEXT;
"""

_STEPS = (_VERSION_1, _VERSION_2, _VERSION_3)

VERSION = len(_STEPS)
"""Of the schema that this program reads and writes."""

TABLES = tuple(sorted(re.findall(r"CREATE TABLE (\w+)", "".join(_STEPS))))
"""All that a database of the current version has."""

_LOCK = 0x6D617472
"""Number of PostgreSQL's advisory lock that keeps two processes from taking the same step."""


def found_version(session: Session) -> int:
    """The version of the database's schema; 0 for a new, empty one.

    Raises:
        HostError: it is another program's database, or of a newer version of this one.
    """
    if not session.has_table("history_version"):
        strange = next(filter(session.has_table, TABLES), None)
        if strange is None:
            return 0
        # Looked at once more: PostgreSQL shows what another process has committed meanwhile.
        if not session.has_table("history_version"):
            raise HostError(
                f"it has a table {strange!r} that is not ours: give the history a database "
                "of its own"
            )
    versions = session.read("SELECT version FROM history_version")
    version = int(versions[0][0]) if versions else 0
    if version > VERSION:
        raise HostError(
            f"it was written by a newer version of this program (schema {version}, this one "
            f"knows up to {VERSION}): update this one, or name another database"
        )
    return version


def migrate(session: Session, to: int = VERSION) -> None:
    """Bring the schema to version ``to``.

    Args:
        session: in a transaction that may write.
        to: the version that is wanted; below the current one for tests.

    Raises:
        HostError: as :func:`found_version`.
    """
    if session.postgresql:
        session.read("SELECT pg_advisory_xact_lock(:lock)", {"lock": _LOCK})
    for number in range(found_version(session), to):
        for statement in _statements(_STEPS[number], postgresql=session.postgresql):
            session.write(statement)
        reached: Row = {"version": number + 1}
        if number == 0:
            session.write(insertion("history_version", reached), [reached])
        else:
            session.write("UPDATE history_version SET version = :version", [reached])


def _statements(step: str, *, postgresql: bool) -> list[str]:
    keys = {
        f"{table}_attempt": _REFERENCE.format(table=table)
        for table in ("subtests", "measurements", "migrations", "statistics", "hops")
    }
    filled = step.format(
        serial="SERIAL" if postgresql else "INTEGER",
        compact="" if postgresql else "WITHOUT ROWID",
        **keys,
    )
    return [each.strip() for each in filled.split(";\n") if each.strip()]
