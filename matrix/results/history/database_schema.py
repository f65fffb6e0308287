"""The tables of the history, in SQL that SQLite and PostgreSQL both take.

===================  =============================================================================
``runs``             what a run's listing shows; ``counts`` and ``info`` are JSON: ``{VERDICT: N}``,
                     and its ``run.json`` without the scenarios' texts
``cases``            what is the same in every run of a case, and what an attempt took in the run of
                     ``seconds_at``, the latest that has one: read before every run
``environments``     what may change a verdict without the case being flaky, and of its record what
                     the plan says, as JSON; named by a digest of all that
``results``          what a case came to in a run: a case of ``results.json`` as JSON, without what
                     other columns have and what is empty (:mod:`.records`). ``attempts`` has the
                     verdict of each; null: one attempt, with the case's verdict.
                     ``input_digest`` is that of the record; null where its inputs are not known
``history_version``  of this schema; :mod:`.upgrade` brings earlier ones here
===================  =============================================================================

Times of day are text: UTC, ISO 8601, milliseconds, as everywhere in a run directory, so that they
sort.
"""

from matrix.errors import HostError
from matrix.results.history.connection import Session, insertion

VERSION = 5
"""Of the schema that this program reads and writes."""
REBUILT = 4
"""The first version that had its tables: those of earlier ones are written anew."""

_DDL = """
CREATE TABLE IF NOT EXISTS history_version (version INTEGER NOT NULL);

CREATE TABLE runs (
    id {serial} NOT NULL PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    started TEXT NOT NULL,
    finished BOOLEAN NOT NULL,
    hostname TEXT NOT NULL,
    exit_code INTEGER NOT NULL,
    elapsed FLOAT NOT NULL,
    directory TEXT NOT NULL,
    counts TEXT NOT NULL,
    info TEXT NOT NULL
);
CREATE INDEX runs_by_time ON runs (started);

CREATE TABLE IF NOT EXISTS cases (
    id {serial} NOT NULL PRIMARY KEY,
    case_id TEXT NOT NULL UNIQUE,
    scenario TEXT NOT NULL,
    suite TEXT NOT NULL,
    test TEXT NOT NULL,
    axes TEXT NOT NULL,
    seconds FLOAT,
    seconds_at TEXT
);
CREATE INDEX IF NOT EXISTS ix_cases_scenario ON cases (scenario);

CREATE TABLE environments (
    id BIGINT NOT NULL PRIMARY KEY,
    qemu_version TEXT NOT NULL,
    accelerator TEXT NOT NULL,
    kernel TEXT NOT NULL,
    cpu_model TEXT NOT NULL,
    suite_revision TEXT NOT NULL,
    planned TEXT NOT NULL
) {compact};

CREATE TABLE results (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    verdict TEXT NOT NULL,
    attempts TEXT,
    environment BIGINT NOT NULL REFERENCES environments (id),
    seconds FLOAT NOT NULL,
    record TEXT NOT NULL,
    input_digest TEXT,
    PRIMARY KEY (run, "case")
) {compact};
CREATE INDEX results_by_case ON results ("case", run);
CREATE INDEX results_by_inputs ON results (input_digest)
"""

TABLES = ("history_version", "runs", "cases", "environments", "results")


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


def create_tables(session: Session) -> None:
    """Make the tables and note the version; those that an earlier version had too are left as
    they are."""
    filled = _DDL.format(
        serial="SERIAL" if session.postgresql else "INTEGER",
        compact="" if session.postgresql else "WITHOUT ROWID",
    )
    for statement in filled.split(";\n"):
        session.write(statement)
    session.write("DELETE FROM history_version")
    session.write(insertion("history_version", ["version"]), [{"version": VERSION}])
