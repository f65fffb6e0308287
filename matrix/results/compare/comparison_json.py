"""``matrix compare --json``: a comparison for other programs.

``{"comparisons": […], "regressions": N, "lost_coverage": N, "thresholds": {…}, "rule": "…"}``.
Over all comparisons ``regressions`` counts the cases that became worse, and ``lost_coverage`` those
that are skipped now for want of a QEMU, build or accelerator: both make ``--fail-on-regression``
exit 1. One comparison, or with ``--by`` one per further value of the axis, has

``a``, ``b``
    ``{"run", "value", "started", "host", "matrix", "unfinished", "shortfalls"}``: the run
    directory as it was named, the axis' value (null where runs are compared), when and where it
    ran, the tool's version, how many of the run's cases have no result, and in words what had to
    run and did not.
``axis``
    the axis whose values are compared; null where runs are.
``environment``
    ``[{"what", "a", "b"}]``: what is known to differ; empty where a side lacks it.
``cases``
    those that changed, in A's order.
``counts``
    ``cases`` of both sides together, ``changed``, ``regressions``, and how many there are of each
    kind of change; ``subtests`` has that for subtests. ``a`` and ``b`` are ``{"passed", "ran",
    "skipped", "unfinished"}`` of either side's cases, the last three of which are all of them; also
    "reused", where some were.

A case has

``id``, ``scenario``, ``test``, ``variant``
    its id in B (in A, where B lacks it), and what it is.
``a``, ``b``
    ``{"id", "verdict", "reason", "attempts", "accelerator", "qemu_version", "suite_revision",
    "artifacts", "skip_cause", "reused"}``, or null where the side's plan lacks it. ``verdict`` is
    null without a result; ``artifacts`` is a folder relative to the run, or empty; ``skip_cause``
    is as in ``results.json``; where ``reused`` the result is that of an earlier run.
``change``
    null where the verdict is as before, else ``new-failure`` (what is bad and was not),
    ``new-flaky``, ``changed-failure`` (bad in another way), ``fix``, ``lost-coverage`` (ran, and
    is skipped for want of a QEMU, build or accelerator), ``new-skip`` (for any other reason),
    ``no-longer-skipped``, ``new-xfail`` (fails, as expected), ``new-xpass`` (passes, which is not
    expected), ``no-longer-xpass``, ``only-a`` or ``only-b`` (the other side has no result).
``regression``
    whether the case's own verdict is one.
``subtests``
    ``[{"name", "change", "before", "after", "message", "regression"}]``, those that changed;
    ``flaky`` where attempts of one side differ, ``fail`` also for a guest's ``XPASS:``, ``xfail``
    for its ``KFAIL:``, null where a side lacks it.
``seconds``
    null, or a change of an attempt's time, as a metric without name.
``metrics``
    ``[{"name", "unit", "before", "after", "factor"}]``, those that changed, where ``before`` and
    ``after`` are ``{"median", "spread", "count"}``. ``factor`` is null from 0.
``differences``
    how the case itself was run otherwise, as ``environment``.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

from matrix.results.compare.case_comparison import compare_cases
from matrix.results.compare.changes import CaseComparison, MeasuredChange, SubtestChange
from matrix.results.compare.matching import Pairing
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.sides import ComparedRun
from matrix.results.compare.tally import Tally
from matrix.results.json_text import json_bytes


def write_document(
    write: Callable[[bytes], object], pairings: Iterable[Pairing], thresholds: Thresholds
) -> Tally:
    """Write the document of the module's description, one case at a time.

    Returns:
        What the comparisons came to together.

    Raises:
        UsageError: a journal was changed meanwhile.
        HostError: a journal cannot be read.
    """
    total = Tally()
    write(b'{"comparisons": [')
    separator = b"\n"
    for pairing in pairings:
        write(separator)
        separator = b",\n"
        for part in _comparison(pairing, thresholds, total):
            write(part)
    document = {
        "regressions": total.regressions,
        "lost_coverage": total.lost,
        "thresholds": thresholds,
        "rule": thresholds.rule(),
    }
    write(b"\n],\n" + json_bytes(document, nonfinite="null")[1:] + b"\n")
    return total


def _comparison(pairing: Pairing, thresholds: Thresholds, total: Tally) -> Iterator[bytes]:
    tally = Tally()
    head = {
        "axis": pairing.axis or None,
        "a": _run(pairing.a, pairing.values[0]),
        "b": _run(pairing.b, pairing.values[1]),
        "environment": pairing.environment,
    }
    yield json_bytes(head)[:-1] + b', "cases": ['
    separator = b"\n"
    for case in compare_cases(pairing, thresholds):
        tally.add(case)
        if case.changed:
            yield separator + json_bytes(_case(case), nonfinite="null")
            separator = b",\n"
    total.include(tally)
    yield b'\n], "counts": ' + json_bytes(tally.document()) + b"}"


def _run(record: ComparedRun, value: str) -> dict[str, object]:
    return {
        "run": str(record.given),
        "value": value or None,
        "started": record.info.started,
        "host": record.info.hostname,
        "matrix": record.info.tool_version,
        "unfinished": len(record.unfinished()),
        "shortfalls": record.shortfalls(),
    }


def _case(case: CaseComparison) -> dict[str, object]:
    return {
        "id": case.id,
        "scenario": case.scenario,
        "test": case.test,
        "variant": case.variant,
        "a": case.a,
        "b": case.b,
        "change": case.kind,
        "regression": case.regression,
        "subtests": [_subtest(each) for each in case.subtests],
        "seconds": _measured(case.seconds) if case.seconds else None,
        "metrics": [_measured(each) for each in case.metrics],
        "differences": case.differences,
    }


def _subtest(change: SubtestChange) -> dict[str, object]:
    return {
        "name": change.name,
        "change": change.kind,
        "before": change.before,
        "after": change.after,
        "message": change.message,
        "regression": change.regression,
    }


def _measured(change: MeasuredChange) -> dict[str, object]:
    return {**asdict(change), "factor": change.factor}
