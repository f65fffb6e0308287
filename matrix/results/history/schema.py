"""The tables of the history, as they are in its current version (:mod:`.migrations` leads there).

Times of day are text: UTC, ISO 8601, milliseconds, as everywhere in a run directory, so that they
sort. Cases are named once, in ``cases``; everything else refers to them by number, because their
ids take more room than all that is known of an uneventful result. ``results`` is what a case came
to in a run; ``attempts``, ``subtests`` (those that did not pass), ``measurements``,
``migrations``, ``statistics`` and ``hops`` are its details.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()


def _of_run() -> Column[int]:
    """First part of the key of what belongs to a run, and goes with it."""
    return Column("run", Integer, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)


def _of_attempt(table: str) -> tuple[Column[int] | ForeignKeyConstraint, ...]:
    """First parts of the key of what belongs to an attempt."""
    return (
        Column("run", Integer, primary_key=True),
        Column("case", Integer, primary_key=True),
        Column("attempt", Integer, primary_key=True),
        ForeignKeyConstraint(
            ["run", "case", "attempt"],
            ["attempts.run", "attempts.case", "attempts.number"],
            ondelete="CASCADE",
            name=f"{table}_attempt",
        ),
    )


version = Table("history_version", metadata, Column("version", Integer, nullable=False))

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("started", Text, nullable=False, index=True),
    Column("recorded", Text, nullable=False),
    Column("finished", Boolean, nullable=False),
    Column("exit_code", Integer, nullable=False),
    Column("elapsed", Float, nullable=False),
    Column("directory", Text, nullable=False),
    Column("tool_version", Text, nullable=False),
    Column("hostname", Text, nullable=False),
    Column("host_architecture", Text, nullable=False),
    Column("host_kernel", Text, nullable=False),
    Column("host_cpus", BigInteger, nullable=False),
    Column("host_memory", BigInteger, nullable=False),
    Column("cpu_vendor", Text, nullable=False),
    Column("cpu_model", Text, nullable=False),
    Column("kvm_device", Text, nullable=False),
    Column("arguments", Text, nullable=False),
)

scenarios = Table(
    "scenarios",
    metadata,
    _of_run(),
    Column("name", Text, primary_key=True),
    Column("file", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    sqlite_with_rowid=False,
)

binaries = Table(
    "binaries",
    metadata,
    _of_run(),
    Column("qemu", Text, primary_key=True),
    Column("architecture", Text, primary_key=True),
    Column("path", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("accelerators", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    sqlite_with_rowid=False,
)

proofs = Table(
    "proofs",
    metadata,
    _of_run(),
    Column("qemu", Text, primary_key=True),
    Column("architecture", Text, primary_key=True),
    Column("cpu", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)

cases = Table(
    "cases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("case_id", Text, nullable=False, unique=True),
    Column("scenario", Text, nullable=False, index=True),
    Column("suite", Text, nullable=False),
    Column("test", Text, nullable=False),
    Column("axes", Text, nullable=False),
    # What an attempt took in the run of ``seconds_at``, the latest that has one: read before
    # every run, so it is kept rather than looked for.
    Column("seconds", Float),
    Column("seconds_at", Text),
)

results = Table(
    "results",
    metadata,
    _of_run(),
    Column("case", Integer, ForeignKey("cases.id"), primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("accelerator", Text, nullable=False),
    Column("qemu_version", Text, nullable=False),
    Column("suite_revision", Text, nullable=False),
    # Of a skip; null in runs from before it was kept.
    Column("skip_cause", Text),
    Index("results_of_case", "case", "run"),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    Column("run", Integer, primary_key=True),
    Column("case", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    # Null: the case's.
    Column("reason", Text),
    Column("accelerator", Text, nullable=False),
    # ``{VERDICT: count}``, also of subtests that are not kept.
    Column("subtest_counts", Text, nullable=False),
    ForeignKeyConstraint(
        ["run", "case"],
        ["results.run", "results.case"],
        ondelete="CASCADE",
        name="attempts_result",
    ),
    sqlite_with_rowid=False,
)

subtests = Table(
    "subtests",
    metadata,
    *_of_attempt("subtests"),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("message", Text, nullable=False),
    sqlite_with_rowid=False,
)

metrics = Table(
    "metrics",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    UniqueConstraint("name", "unit", name="metrics_name"),
)

measurements = Table(
    "measurements",
    metadata,
    *_of_attempt("measurements"),
    Column("metric", Integer, ForeignKey("metrics.id"), primary_key=True),
    # From 1: guests print some several times.
    Column("ordinal", Integer, primary_key=True),
    Column("value", Float, nullable=False),
    sqlite_with_rowid=False,
)

migrations = Table(
    "migrations",
    metadata,
    *_of_attempt("migrations"),
    Column("hops", BigInteger, nullable=False),
    Column("completed", BigInteger, nullable=False),
    Column("as_expected", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("seed", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    # JSON: the limits that did not hold, in words.
    Column("broken", Text, nullable=False),
    sqlite_with_rowid=False,
)

statistics = Table(
    "statistics",
    metadata,
    *_of_attempt("statistics"),
    Column("name", Text, primary_key=True),
    Column("unit", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("p50", Float, nullable=False),
    Column("p90", Float, nullable=False),
    Column("p99", Float, nullable=False),
    Column("max", Float, nullable=False),
    sqlite_with_rowid=False,
)

hops = Table(
    "hops",
    metadata,
    *_of_attempt("hops"),
    Column("number", BigInteger, primary_key=True),
    Column("begun", Float, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("transport", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("good", Boolean, nullable=False),
    Column("fault", Text),
    Column("reason", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("total_time", Float),
    Column("setup_time", Float),
    Column("downtime", Float),
    Column("stop_to_resume", Float),
    Column("blackout", Float),
    Column("silence", Float),
    Column("clock_jump", Float),
    Column("transferred", BigInteger),
    Column("passes", BigInteger),
    Column("dirty_rate", BigInteger),
    Column("throughput", Float),
    Column("throttle", BigInteger),
    sqlite_with_rowid=False,
)
