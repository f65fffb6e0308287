"""The flat record of a case: what readers of results get, and exactly a case of ``results.json``.

``results.json`` is ``{"format": 1, "run": {…}, "cases": […], "counts": {VERDICT: N}, "exit_code":
N, "shortfalls": […], "unfinished": […]}``; ``matrix schema results`` prints its schema. ``run``
says when and where the cases were run, with which QEMUs, by which command; ``shortfalls`` says in
words what had to run and did not. A case is a :class:`CaseRecord`, of whose subtests those that
did not pass are there; ``cases/ID/result.json`` has all. What an attempt says as its case does is
left out of it. Paths of artifacts are relative to the run directory.

Keys are only ever added, with a default for the files of versions that wrote none; a change of any
other kind gets another :data:`FORMAT`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, assert_never

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from matrix.attempt import Assist, Attempt, Reused
from matrix.inventory import Host
from matrix.migrating import Limits, MigrationSummary
from matrix.model import Case, Variant
from matrix.plan.decisions import Broken, Decision, Skip
from matrix.plan.health import difference
from matrix.plan.inputs import digest_of
from matrix.results.directory import COMMAND_FILE
from matrix.results.outcome import WORST_FIRST, merged_verdict
from matrix.results.run_info import QemuFingerprint
from matrix.verdicts import SkipCause, Subtest, SubtestVerdict, Verdict

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
"""Of ``results.json``; files of versions that wrote none are read, too."""


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """A named number that a guest printed; None where it printed no finite one."""

    name: str
    value: float | None
    unit: str = ""

    def words(self) -> str:
        """``12.5 ns``."""
        return f"{math.nan if self.value is None else self.value:g} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What an attempt came to; of a case, what the first of its worst attempts did."""

    verdict: Verdict
    """Of a case: over all attempts, as its reason and its seconds."""
    reason: str = ""
    seconds: float = 0.0
    accelerator: str = ""
    """What it ran under; empty where it did not."""
    accelerator_reason: str = ""
    """Why it was that."""
    host: str = ""
    """Where it ran, one of the run's ``hosts``; empty where it did not, and in runs of versions
    that knew of one only."""
    subtest_counts: Mapping[SubtestVerdict, int] = field(default_factory=dict)
    subtests_dropped: int = 0
    """Of those that are counted, how many neither file has."""
    subtests: tuple[Subtest, ...] = ()
    metrics: tuple[MetricRecord, ...] = ()
    assists: Mapping[Assist, int] = field(default_factory=dict)
    """What was done to the guest so that QEMU works faster, and how often: ``calc-dirty-rate``, or
    ``migrate-to-nobody`` (``stop``, a migration to ``/dev/null`` that is cancelled, ``cont``).
    Empty: it was left alone, as with ``--no-assist``."""
    hops: MigrationSummary | None = None
    """What its live migrations came to; each is a line of ``hops.jsonl`` in ``artifacts``."""
    command: str = ""
    """A script that runs the same by hand."""
    artifacts: str = ""
    """Its folder."""

    @property
    def failures(self) -> int:
        """How many subtests failed, also of those dropped."""
        return sum(count for verdict, count in self.subtest_counts.items() if verdict.failed)

    @property
    def not_passed(self) -> tuple[Subtest, ...]:
        """The subtests that did not pass, in order."""
        return tuple(each for each in self.subtests if each.verdict is not SubtestVerdict.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord(Execution):
    """One execution of a case."""

    number: int
    """From 1."""
    observed: Verdict | None = None
    """What it came to before known failures were applied; None where that is ``verdict``."""
    by_subtests: bool = False
    """It failed by the failures of its subtests, and by nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRecord(Execution):
    """One case: what was run, and what it came to."""

    id: str
    scenario: str
    suite: str
    test: str
    axes: Variant
    """Those that the matrix gives; sizes in bytes."""
    skip_cause: SkipCause | None = None
    """Of a skip, where that is known."""
    image: str = ""
    """What is started, a path of the host."""
    arguments: str = ""
    dynamic: bool = False
    """Whether commands give the test's values anew each time."""
    qemu_params: tuple[str, ...] = ()
    """Of the test."""
    vcpus: int = 1
    """Of the test, where no axis says otherwise."""
    groups: tuple[str, ...] = ()
    timeout: float = 0.0
    """Seconds that the guest may take; 0 where that is not known."""
    suite_revision: str = ""
    limits: Limits | None = None
    """Of the hops that were asked for; None where the guest is not migrated by us."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Digests of what the result follows from, by name (:class:`matrix.plan.inputs.Input`); empty
    where not all of it is known, or the case was run more than once."""
    input_digest: str = ""
    """SHA-256 of them: the same in runs where nothing of it differs."""
    reused: Reused | None = None
    """The result is that of an earlier run with the same inputs: the case was not run again."""
    not_reused: str = ""
    """Why it was run, where results were to be reused."""
    attempts: tuple[AttemptRecord, ...] = ()
    """In order; none of a case that the plan does not run."""


_DETAILS = (
    *("accelerator", "accelerator_reason", "subtest_counts", "subtests_dropped", "subtests"),
    "command",
)
"""What an attempt may leave out: it is as the case says."""

_TELLING = tuple(
    each.name for each in fields(Execution) if each.name not in ("verdict", "reason", "seconds")
)
"""What a case says as the attempt that speaks for it does."""

_IDENTITY = ("id", "scenario", "suite", "test", "axes")
_CASE_KEYS = tuple(dict.fromkeys((*_IDENTITY, *(each.name for each in fields(CaseRecord)))))
_ATTEMPT_KEYS = tuple(dict.fromkeys(("number", *(each.name for each in fields(AttemptRecord)))))


class PlannedCase(NamedTuple):
    """What says which cases of two runs are the same; also of a case without a result."""

    id: str
    scenario: str
    suite: str
    test: str
    axes: Variant
    suite_revision: str
    without_build: bool
    """It stands for all cases of a suite that has no build for its architecture."""

    @classmethod
    def of_decision(cls, decision: Decision) -> "PlannedCase":
        """A case of a plan."""
        case = decision.case
        unbuilt = isinstance(decision, Skip) and decision.cause is SkipCause.NO_BUILD
        test, revision = case.test.name, case.build.revision
        return cls(case.id, case.scenario, case.suite, test, case.variant, revision, unbuilt)

    @classmethod
    def of(cls, record: CaseRecord) -> "PlannedCase":
        """A case of which there is a record."""
        unbuilt = record.skip_cause is SkipCause.NO_BUILD
        test, revision = record.test, record.suite_revision
        return cls(record.id, record.scenario, record.suite, test, record.axes, revision, unbuilt)


class HostData(TypedDict):
    """What cases on a host ran with."""

    host: Host
    binaries: Sequence[QemuFingerprint]


class RunData(TypedDict):
    """Of the run, what ``run.json`` says: when, where, with which QEMUs, by which command.

    ``host`` and ``binaries`` are those of the machine that it was started on, which is ``local``
    among its ``hosts``.
    """

    started: str
    """UTC, ISO 8601."""
    tool_version: str
    hostname: str
    host: Host
    binaries: Sequence[QemuFingerprint]
    hosts: Mapping[str, HostData]
    arguments: Sequence[str]
    """Of the command."""


class ResultsDocument(TypedDict):
    """``results.json``."""

    format: int
    run: RunData
    cases: Sequence[CaseRecord]
    counts: Mapping[Verdict, int]
    """How many cases came to each verdict."""
    exit_code: int
    shortfalls: Sequence[str]
    """What had to run and did not, in words."""
    unfinished: Sequence[str]
    """Ids of cases that did not get to their end."""


def results_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``results.json``."""
    from pydantic import TypeAdapter  # 50 ms, which no run needs

    schema = TypeAdapter(ResultsDocument).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def record_of(case: Case, attempts: Iterable[Attempt]) -> CaseRecord:
    """The record of a case from its attempts, of which there is at least one.

    Attempts that agree give their verdict, those that differ ``flaky``; but with an ``error``
    among them the case is an ``error``, because what failed was not the guest, and one that is
    known to fail sometimes is an ``xfail`` when it does.
    """
    ordered = sorted(attempts, key=lambda each: each.number)
    first = ordered[0]
    verdict = merged_verdict(each.verdict for each in ordered)
    agreed = all(each.verdict is verdict for each in ordered)
    made = tuple(map(_attempt, ordered))
    inputs = () if ordered[1:] else first.inputs
    telling = min(made, key=lambda each: WORST_FIRST.index(each.verdict))
    told = _planned(case) | {name: getattr(telling, name) for name in _TELLING}
    return CaseRecord(
        **told,
        verdict=verdict,
        reason=first.reason if agreed else _outcomes(ordered),
        seconds=round(sum(each.seconds for each in ordered), 6),
        skip_cause=first.skip_cause if verdict is Verdict.SKIP else None,
        inputs=dict(inputs),
        input_digest=digest_of(inputs),
        reused=first.reused,
        not_reused=first.not_reused,
        attempts=made,
    )


def unrun(decision: Skip | Broken) -> CaseRecord:
    """The record of a case that the plan does not run."""
    planned = _planned(decision.case)
    match decision:
        case Skip():
            verdict, cause = Verdict.SKIP, decision.cause
            return CaseRecord(**planned, verdict=verdict, reason=decision.reason, skip_cause=cause)
        case Broken():
            return CaseRecord(**planned, verdict=Verdict.ERROR, reason=decision.reason)
        case _:
            assert_never(decision)


def document(record: CaseRecord, *, all_subtests: bool = False) -> dict[str, object]:
    """A case as it stands in ``results.json``, or with all its subtests in ``result.json``."""
    attempts = [_attempt_document(each, record, all_subtests) for each in record.attempts]
    found: dict[str, object] = {name: getattr(record, name) for name in _CASE_KEYS}
    found |= {"axes": record.axes.axes(), "attempts": attempts}
    return found if all_subtests else found | {"subtests": record.not_passed}


def parsed(plain: Any) -> CaseRecord:
    """The record of a case that was read from JSON, which may be anybody's.

    Raises:
        ValidationError: it is none.
    """
    attempts = plain.get("attempts") if isinstance(plain, dict) else None
    if isinstance(attempts, list):
        shared = {name: plain[name] for name in _DETAILS if name in plain}
        told = [{**shared, **each} if isinstance(each, dict) else each for each in attempts]
        plain = {**plain, "attempts": told}
    return _adapter().validate_python(plain)


def _planned(case: Case) -> dict[str, Any]:
    """What a record says of what was run."""
    return {
        "id": case.id,
        "scenario": case.scenario,
        "suite": case.suite,
        "test": case.test.name,
        "axes": case.variant,
        "image": case.test.image,
        "arguments": case.test.arguments,
        "dynamic": case.test.dynamic,
        "qemu_params": case.test.qemu_params,
        "vcpus": case.test.smp,
        "groups": case.test.groups,
        "timeout": case.timeout,
        "suite_revision": case.build.revision,
        "limits": case.migration.limits if case.migration is not None else None,
    }


def _attempt(attempt: Attempt) -> AttemptRecord:
    return AttemptRecord(
        number=attempt.number,
        verdict=attempt.verdict,
        reason=attempt.reason,
        seconds=round(attempt.seconds, 6),
        accelerator=attempt.accelerator,
        accelerator_reason=attempt.accelerator_reason,
        subtest_counts=dict(attempt.subtest_counts),
        subtests_dropped=attempt.subtests_dropped,
        subtests=attempt.subtests,
        metrics=tuple(map(_metric, attempt.metrics)),
        assists=dict(attempt.assists),
        hops=attempt.migration,
        command=f"{attempt.artifacts}/{COMMAND_FILE}" if attempt.command else "",
        artifacts=attempt.artifacts,
        observed=attempt.observed,
        by_subtests=attempt.by_subtests,
        host=attempt.host,
    )


def _metric(metric: tuple[str, float, str]) -> MetricRecord:
    name, value, unit = metric
    return MetricRecord(name, value if math.isfinite(value) else None, unit)


def _outcomes(attempts: Sequence[Attempt]) -> str:
    """``2 of 3 attempts: pass; 1: fail (attempt 2: REASON)``, and how hosts differ."""
    parts = []
    of_all = f" of {len(attempts)} attempts"
    for verdict, count in Counter(each.verdict for each in attempts).most_common():
        first = next(each for each in attempts if each.verdict is verdict)
        why = f": {first.reason}" if first.reason else ""
        parts.append(f"{count}{of_all}: {verdict.value} (attempt {first.number}{why})")
        of_all = ""
    by_host = difference((each.hosts, each.verdict) for each in attempts)
    return "; ".join([*parts, *([by_host] if by_host else [])])


def _attempt_document(
    attempt: AttemptRecord, record: CaseRecord, all_subtests: bool
) -> dict[str, object]:
    found: dict[str, object] = {name: getattr(attempt, name) for name in _ATTEMPT_KEYS}
    for name in _DETAILS:
        if found[name] == getattr(record, name):
            del found[name]
    if "subtests" in found and not all_subtests:
        found["subtests"] = attempt.not_passed
    return found


@cache
def _adapter() -> "TypeAdapter[CaseRecord]":
    from pydantic import TypeAdapter  # 50 ms, which only readers need

    return TypeAdapter(CaseRecord)
