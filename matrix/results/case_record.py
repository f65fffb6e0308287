"""The contract of ``results.json``: the types of what is written, and the JSON Schema of them.

``matrix schema results`` prints the schema. Keys are only ever added; a change of any other kind
gets another :data:`FORMAT`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from matrix.inventory import Host
from matrix.migrating import MigrationSummary
from matrix.model import SkipCause, Subtest, SubtestVerdict, Verdict
from matrix.results.fingerprint import QemuFingerprint

FORMAT = 1
"""Of ``results.json``; files of versions that wrote none are read, too."""


class MetricRecord(TypedDict):
    """A named number that a guest printed; null where it printed no finite one."""

    name: str
    value: float | None
    unit: str


class AttemptRecord(TypedDict):
    """One execution of a case."""

    number: int
    verdict: Verdict
    reason: str
    seconds: float
    metrics: Sequence[MetricRecord]
    hops: MigrationSummary | None
    artifacts: str
    assists: Mapping[str, int]


class CaseRecord(TypedDict):
    """One case: what was run, and what it came to. Paths are relative to the run directory."""

    id: str
    scenario: str
    suite: str
    test: str
    axes: Mapping[str, object]
    verdict: Verdict
    reason: str
    skip_cause: SkipCause | None
    seconds: float
    accelerator: str
    accelerator_reason: str
    subtest_counts: Mapping[SubtestVerdict, int]
    subtests_dropped: int
    subtests: Sequence[Subtest]
    metrics: Sequence[MetricRecord]
    assists: Mapping[str, int]
    hops: MigrationSummary | None
    command: str
    artifacts: str
    attempts: Sequence[AttemptRecord]


class RunData(TypedDict):
    """Of the run, what ``run.json`` says: when, where, with which QEMUs, by which command."""

    started: str
    tool_version: str
    hostname: str
    host: Host
    binaries: Sequence[QemuFingerprint]
    arguments: Sequence[str]


class ResultsDocument(TypedDict):
    """``results.json``."""

    format: int
    run: RunData
    cases: Sequence[CaseRecord]
    counts: Mapping[Verdict, int]
    exit_code: int
    shortfalls: Sequence[str]
    unfinished: Sequence[str]


def results_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``results.json``."""
    from pydantic import TypeAdapter  # 50 ms, which no run needs

    schema = TypeAdapter(ResultsDocument).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
