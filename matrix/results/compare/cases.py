"""What changed in each case of a pairing, one by one, so that memory stays bounded."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from matrix.model import Case
from matrix.results.compare.changes import (
    CaseComparison,
    Difference,
    Side,
    classify,
    is_regression,
)
from matrix.results.compare.environment import case_differences
from matrix.results.compare.matching import Pairing, stands_in
from matrix.results.compare.measured import Thresholds, compare_metrics, compare_seconds
from matrix.results.compare.sides import ComparedRun
from matrix.results.compare.subtests import compare_subtests
from matrix.results.labels import variant_label
from matrix.results.outcome import CaseResult

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
    ids_a = (a for a, _ in pairing.pairs if a is not None and pairing.a.is_finished(a))
    ids_b = (b for _, b in pairing.pairs if b is not None and pairing.b.is_finished(b))
    results_a, results_b = pairing.a.results(ids_a), pairing.b.results(ids_b)
    for id_a, id_b in pairing.pairs:
        a = next(results_a) if id_a is not None and pairing.a.is_finished(id_a) else None
        b = next(results_b) if id_b is not None and pairing.b.is_finished(id_b) else None
        yield _comparison(pairing, (id_a, a), (id_b, b), thresholds)


def _comparison(
    pairing: Pairing,
    one: tuple[str | None, CaseResult | None],
    other: tuple[str | None, CaseResult | None],
    thresholds: Thresholds,
) -> CaseComparison:
    (id_a, a), (id_b, b) = one, other
    before, after = (a.verdict if a else None), (b.verdict if b else None)
    kind = classify(before, after, b.skip_cause if b else None)
    case = _case(pairing, id_a, id_b)
    both = (a, b) if a and b else None
    return CaseComparison(
        scenario=case.scenario,
        test=case.test.name,
        variant=variant_label(case.variant, leave_out=pairing.axis),
        a=_side(pairing.a, id_a, a),
        b=_side(pairing.b, id_b, b),
        kind=kind,
        regression=is_regression(kind, before, after),
        subtests=compare_subtests(*both) if both else (),
        seconds=compare_seconds(*both, thresholds) if both else None,
        metrics=compare_metrics(*both, thresholds) if both else (),
        differences=_differences(*both) if both else (),
    )


def _case(pairing: Pairing, id_a: str | None, id_b: str | None) -> Case:
    if id_b is not None and (id_a is None or not stands_in(pairing.b.decision(id_b))):
        return pairing.b.decision(id_b).case
    assert id_a is not None, "a pair has at least one side"  # noqa: S101 - Pairing's invariant
    return pairing.a.decision(id_a).case


def _side(record: ComparedRun, case_id: str | None, result: CaseResult | None) -> Side | None:
    if case_id is None:
        return None
    case = record.decision(case_id).case
    telling = result.telling if result else None
    return Side(
        id=case_id,
        verdict=result.verdict if result else None,
        reason=result.reason[:LONGEST_REASON] if result else "",
        attempts=len(result.attempts) if result else 0,
        accelerator=result.accelerator if result else "",
        qemu_version=record.info.qemu_version(case.variant.qemu, case.variant.arch),
        suite_revision=case.build.revision,
        artifacts=_own_folder(telling.artifacts) if telling else "",
        skip_cause=result.skip_cause if result else None,
    )


def _own_folder(artifacts: str) -> str:
    """A folder of the run's cases, or empty: a stranger's journal may name any path."""
    path = PurePosixPath(artifacts)
    inside = path.parts[:1] == ("cases",) and ".." not in path.parts
    return artifacts if inside else ""


def _differences(a: CaseResult, b: CaseResult) -> tuple[Difference, ...]:
    if not a.attempts or not b.attempts:
        return ()  # a skip was not run in any way
    return case_differences(a.case, b.case, (a.accelerator, b.accelerator))
