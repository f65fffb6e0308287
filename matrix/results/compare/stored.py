"""A side that is a ``results.json`` without its run directory, as from a CI system's artifacts."""

from dataclasses import field
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import from_json

from matrix.attempt import Attempt
from matrix.errors import UsageError
from matrix.inventory import Host
from matrix.migrating import MigrationSummary
from matrix.model import (
    Accelerator,
    Build,
    Case,
    RunSettings,
    SkipCause,
    Subtest,
    SubtestVerdict,
    Test,
    Variant,
    Verdict,
)
from matrix.plan.decisions import Broken, Decision, Run, Skip
from matrix.results.case_record import FORMAT
from matrix.results.compare.sides import StoredRun
from matrix.results.files import read_bounded, shown
from matrix.results.fingerprint import RunInfo, refuse_newer
from matrix.results.json_text import first_complaint
from matrix.results.outcome import CaseResult
from matrix.results.printable import printable

LARGEST_RESULTS = 2**29
"""Bytes; 10,000 cases take some 10 MiB."""


@dataclass(frozen=True)
class _Metric:
    name: str
    value: float | None
    unit: str = ""


@dataclass(frozen=True)
class _Attempt:
    number: int
    verdict: Verdict
    reason: str = ""
    seconds: float = 0.0
    metrics: tuple[_Metric, ...] = ()
    hops: MigrationSummary | None = None


@dataclass(frozen=True)
class _Case:
    """What is read of a case; see :mod:`matrix.results.summary`."""

    id: str
    scenario: str
    suite: str
    test: str
    axes: Variant
    verdict: Verdict
    reason: str
    seconds: float
    skip_cause: SkipCause | None = None
    accelerator: str = ""
    subtest_counts: dict[SubtestVerdict, int] = field(default_factory=dict)
    subtests: tuple[Subtest, ...] = ()
    metrics: tuple[_Metric, ...] = ()
    attempts: tuple[_Attempt, ...] = ()


NOTHING_KNOWN = RunInfo(started="", host=Host("", "", 0, 0), tool_version="")
"""Of the run, in files of versions that did not write it."""


@dataclass(frozen=True)
class _Results:
    cases: tuple[_Case, ...]
    run: RunInfo = NOTHING_KNOWN
    unfinished: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()


def load_results(path: Path) -> StoredRun:
    """Read a ``results.json``, which may be anybody's.

    Raises:
        UsageError: it is none.
        HostError: it cannot be read.
    """
    data = read_bounded(path, LARGEST_RESULTS)
    try:
        plain = from_json(data)
        refuse_newer(path, plain, FORMAT)
        document = _adapter().validate_python(plain)
    except ValidationError as error:
        raise UsageError(f"{shown(path)} is no results.json: {first_complaint(error)}") from error
    except ValueError as error:
        raise UsageError(f"{shown(path)} is not JSON: {printable(str(error))}") from error
    return StoredRun(
        str(path),
        document.run,
        map(_result, document.cases),
        document.unfinished,
        document.shortfalls,
    )


def stored_result(
    case: Case,
    verdict: Verdict,
    reason: str,
    seconds: float,
    attempts: tuple[Attempt, ...],
    skip_cause: SkipCause | None = None,
) -> tuple[Decision, CaseResult]:
    """A case and what it came to, as a :class:`StoredRun` takes it."""
    result = CaseResult(case, verdict, reason, seconds, attempts, skip_cause)
    if not attempts:
        broken = verdict is Verdict.ERROR
        return Broken(case, reason) if broken else Skip(case, reason, skip_cause), result
    return Run(case, Accelerator.AUTO, "", 1, 0), result


def stored_case(
    case_id: str,
    scenario: str,
    suite: str,
    test: str,
    variant: Variant,
    *,
    repeat: int,
    revision: str = "",
) -> Case:
    """A case of which only that is known; its test has no image."""
    return Case(
        id=case_id,
        scenario=scenario,
        suite=suite,
        test=Test(test, ""),
        variant=variant,
        build=Build(variant.arch, "", "", revision=revision),
        settings=RunSettings(repeat=max(1, repeat)),
    )


def _result(document: _Case) -> tuple[Decision, CaseResult]:
    case = stored_case(
        document.id,
        document.scenario,
        document.suite,
        document.test,
        document.axes,
        repeat=len(document.attempts),
    )
    telling = min(
        document.attempts,
        key=lambda each: each.verdict is not document.verdict,
        default=None,
    )
    attempts = tuple(
        _attempt(each, document, telling=each is telling) for each in document.attempts
    )
    return stored_result(
        case, document.verdict, document.reason, document.seconds, attempts, document.skip_cause
    )


def _attempt(attempt: _Attempt, document: _Case, *, telling: bool) -> Attempt:
    """One of a case's attempts; the one that speaks for the case has its subtests."""
    counted = sum(document.subtest_counts.values()) if telling else 0
    return Attempt(
        number=attempt.number,
        verdict=attempt.verdict,
        reason=attempt.reason,
        seconds=attempt.seconds,
        accelerator=document.accelerator,
        subtests=document.subtests if telling else (),
        subtest_counts=tuple(document.subtest_counts.items()) if telling else (),
        subtests_dropped=max(0, counted - len(document.subtests)),
        metrics=tuple((m.name, m.value, m.unit) for m in attempt.metrics if m.value is not None),
        migration=attempt.hops,
    )


@cache
def _adapter() -> TypeAdapter[_Results]:
    return TypeAdapter(_Results)
