"""What changed in each case of a pairing, one by one, so that memory stays bounded."""

from collections.abc import Iterator, Sequence

from matrix.results.case_record import CaseRecord, PlannedCase
from matrix.results.compare.changes import (
    CaseComparison,
    Side,
    classify,
    is_regression,
)
from matrix.results.compare.matching import Pairing
from matrix.results.compare.measured import Thresholds, compare_metrics, compare_seconds
from matrix.results.compare.run_differences import case_differences
from matrix.results.compare.sides import ComparedRun
from matrix.results.compare.subtests import compare_subtests
from matrix.results.labels import variant_label

LONGEST_REASON = 1000
"""Characters of a reason that are kept; its artifacts have the rest."""


def compare_cases(pairing: Pairing, thresholds: Thresholds) -> Iterator[CaseComparison]:
    """Every case of a pairing, also those that did not change, in its order.

    Both journals are read once, from the front to the end where their orders agree, and one case
    of each is held in memory.

    Raises:
        UsageError: a journal was changed meanwhile.
        HostError: a journal cannot be read.
    """
    sides = (pairing.a, [a for a, _ in pairing.pairs]), (pairing.b, [b for _, b in pairing.pairs])
    records = [_records(run, cases) for run, cases in sides]
    for (case_a, case_b), a, b in zip(pairing.pairs, *records, strict=True):
        yield _comparison(pairing, (case_a, a), (case_b, b), thresholds)


def _records(run: ComparedRun, cases: Sequence[PlannedCase | None]) -> Iterator[CaseRecord | None]:
    """The record of each case, None where a side lacks it or it has no result."""
    finished = [case is not None and run.is_finished(case.id) for case in cases]
    found = run.results(case.id for case, has in zip(cases, finished, strict=True) if case and has)
    return (next(found) if has else None for has in finished)


def _comparison(
    pairing: Pairing,
    one: tuple[PlannedCase | None, CaseRecord | None],
    other: tuple[PlannedCase | None, CaseRecord | None],
    thresholds: Thresholds,
) -> CaseComparison:
    (case_a, a), (case_b, b) = one, other
    before, after = (a.verdict if a else None), (b.verdict if b else None)
    kind = classify(before, after, b.skip_cause if b else None)
    case = case_a if case_b is None or (case_a and case_b.without_build) else case_b
    assert case is not None, "a pair has at least one side"  # noqa: S101 - Pairing's invariant
    both = (a, b) if a and b else None
    # A result that was reused took no time in its run, and nothing was measured.
    fresh = both if both and all(each.reused is None for each in both) else None
    return CaseComparison(
        scenario=case.scenario,
        test=case.test,
        variant=variant_label(case.axes, leave_out=pairing.axis),
        a=_side(pairing.a, case_a, a),
        b=_side(pairing.b, case_b, b),
        kind=kind,
        regression=is_regression(kind, before, after),
        subtests=compare_subtests(*both) if both else (),
        seconds=compare_seconds(*fresh, thresholds) if fresh else None,
        metrics=compare_metrics(*fresh, thresholds) if fresh else (),
        differences=case_differences(*both) if both else (),
    )


def _side(run: ComparedRun, case: PlannedCase | None, record: CaseRecord | None) -> Side | None:
    if case is None:
        return None
    return Side(
        id=case.id,
        verdict=record.verdict if record else None,
        reason=record.reason[:LONGEST_REASON] if record else "",
        attempts=len(record.attempts) if record else 0,
        accelerator=record.accelerator if record else "",
        qemu_version=run.info.qemu_version(
            case.axes.qemu, case.axes.arch, record.host if record else ""
        ),
        suite_revision=case.suite_revision,
        artifacts=_own_folder(record.artifacts) if record else "",
        skip_cause=record.skip_cause if record else None,
        reused=record is not None and record.reused is not None,
    )


def _own_folder(artifacts: str) -> str:
    """A folder of the run's cases, or empty: a stranger's journal may name any path."""
    parts = artifacts.split("/")
    return artifacts if parts[0] == "cases" and ".." not in parts else ""
