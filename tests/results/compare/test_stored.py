"""``results.json`` as a side: what is in it compares as the run itself would."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.errors import UsageError
from matrix.migrating import MigrationSummary, Statistic
from matrix.results.compare.case_comparison import compare_cases
from matrix.results.compare.changes import CaseComparison, ChangeKind
from matrix.results.compare.matching import pair_runs
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.sides import load_results
from matrix.results.summary import write_reports
from tests import make
from tests.results.compare.conftest import Story
from tests.results.conftest import RunMaker


def compared(a: Any, b: Any) -> list[CaseComparison]:
    return list(compare_cases(pair_runs(a, b), Thresholds()))


def results_of(record: Any) -> Any:
    write_reports(record)
    return load_results(record.run.path / "results.json")


def test_a_run_and_its_own_results_are_the_same(story: Story, recorded: RunMaker) -> None:
    """Also where names repeat, passes are not kept, and attempts differ."""
    for results in (story.a, story.b):
        record = recorded(results).record
        stored = results_of(record)
        assert not [case for case in compared(stored, record) if case.changed]
        assert not [case for case in compared(record, stored) if case.changed]


def test_it_tells_of_the_same_changes(story: Story, recorded: RunMaker) -> None:
    a, b = recorded(story.a).record, recorded(story.b).record
    stored = results_of(a)
    for whole, kept in zip(compared(a, b), compared(stored, b), strict=True):
        assert (kept.id, kept.kind, kept.regression) == (whole.id, whole.kind, whole.regression)
        assert (kept.seconds, kept.metrics) == (whole.seconds, whole.metrics)
        failing = [each.name for each in whole.subtests if each.regression]
        assert [each.name for each in kept.subtests if each.regression] >= failing
    assert pair_runs(stored, b).environment == ()


def test_subtests_of_one_name(
    compared_attempts: Callable[..., CaseComparison], recorded: RunMaker
) -> None:
    """The third of a name fails in the one, and the second in the other: as many as before."""
    passed, failed = "PASS: ipi received", "FAIL: ipi received"
    run = make.run(make.case())
    a = recorded([(run, [make.attempt("fail", subtests=[passed, passed, failed])])]).record
    same = recorded([(run, [make.attempt("fail", subtests=[passed, failed, passed])])]).record
    more = recorded([(run, [make.attempt("fail", subtests=[failed, failed, passed])])]).record
    fixed = recorded([(run, [make.attempt("fail", subtests=[passed, "FAIL: other"])])]).record
    stored = results_of(a)
    (case,) = compared(stored, same)
    assert not case.changed
    (case,) = compared(stored, more)
    assert [(each.name, each.kind) for each in case.subtests] == [
        ("ipi received", ChangeKind.NEW_FAILURE)
    ]
    assert case.regressed
    (case,) = compared(stored, fixed)
    assert [(each.name, each.kind) for each in case.subtests] == [
        ("other", ChangeKind.NEW_FAILURE),
        ("ipi received", ChangeKind.FIX),
    ]


def test_repeats_keep_their_noise(recorded: RunMaker) -> None:
    case = make.case(repeat=3)
    attempts = [make.attempt(number=n, seconds=s) for n, s in ((1, 2.0), (2, 4.0), (3, 9.0))]
    stored = results_of(recorded([(make.run(case), attempts)]).record)
    (result,) = stored.results()
    assert [attempt.seconds for attempt in result.attempts] == [2.0, 4.0, 9.0]


def test_hops_are_measured(recorded: RunMaker) -> None:
    """Of every attempt, not only of the one that speaks for the case."""

    def migrated(*downtimes: float) -> Any:
        statistics = [
            (Statistic("downtime", "s", 9, each, each, each, each),) for each in downtimes
        ]
        summaries = [MigrationSummary(9, 9, 0, 0, 1, 60.0, each) for each in statistics]
        run = make.run(make.case(repeat=len(downtimes)))
        attempts = [
            make.attempt(number=number, migration=each) for number, each in enumerate(summaries, 1)
        ]
        return recorded([(run, attempts)]).record

    stored = results_of(migrated(0.1, 0.11, 0.1))
    (case,) = compared(stored, migrated(0.3, 0.31, 0.9))
    (downtime,) = case.metrics
    assert downtime.name == "downtime p50"
    assert (downtime.before.median, downtime.after.median) == (0.1, 0.31)
    assert (downtime.before.count, downtime.after.count) == (3, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a results.json"),
        ("{}", "cases: Field required"),
        ('{"cases": [{"verdict": "pass", "id": 3}]}', "is not a results.json: cases.0.id"),
        ('{"cases": 1}', "cases"),
        ('{"cases": [], "format": 99}', "format 99: it was written by a newer version"),
        ('{"cases": [], "run": {"host": 1}}', "run"),
    ],
)
def test_what_is_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_results(path)


@pytest.mark.parametrize("indent", [None, 0, 2])
def test_a_file_that_was_written_anew_says_the_same(
    story: Story, recorded: RunMaker, indent: int | None
) -> None:
    """As we write it every case has a line, which is read alone; others are read as a whole."""
    record = recorded(story.a).record
    stored = results_of(record)
    path = record.run.path / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=indent))
    anew = load_results(path)
    assert list(anew.results()) == list(stored.results())
    assert list(anew.planned()) == list(stored.planned())


def test_its_cases_are_never_objects_all_at_once(recorded: RunMaker) -> None:
    """Parsed as a whole, as dictionaries and then as records, they take many times the file."""
    subtests = [f"FAIL: a subtest, number {number}: it said so" for number in range(50)]
    cases = [make.case(f"t{number}") for number in range(300)]
    attempt = make.attempt("fail", subtests=subtests)
    record = recorded([(make.run(case), [attempt]) for case in cases]).record
    results_of(record)  # what it loads is no case
    size = (record.run.path / "results.json").stat().st_size
    tracemalloc.start()
    try:
        stored = load_results(record.run.path / "results.json")
        assert sum(len(each.subtests) for each in stored.results()) == 300 * 50
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * size


def test_a_wrong_axis(recorded: RunMaker) -> None:
    record = recorded([(make.run(make.case()), [make.attempt()])]).record
    write_reports(record)
    path = record.run.path / "results.json"
    document = json.loads(path.read_text())
    document["cases"][0]["axes"]["arch"] = "vax"
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"cases\.0\.axes\.arch"):
        load_results(path)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("results") / "results.json"
    path.write_bytes(data)
    with pytest.raises(UsageError):
        load_results(path)
