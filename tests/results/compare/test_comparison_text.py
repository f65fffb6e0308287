"""The golden files are what a user sees at 80 and 120 columns."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.results.compare.case_comparison import compare_cases
from matrix.results.compare.changes import (
    CaseComparison,
    ChangeKind,
    Difference,
    MeasuredChange,
    Sample,
    Side,
    SubtestChange,
)
from matrix.results.compare.comparison_text import comparison_lines
from matrix.results.compare.matching import Pairing, pair_runs, pair_variants
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.tally import Gathered
from matrix.results.directory import RunDirectory
from matrix.results.run_record import RunRecord
from matrix.results.segments import Style, plain
from matrix.verdicts import Verdict
from tests import make
from tests.conftest import Golden

RULES = Thresholds()


def shown(pairings: list[Pairing], width: int = 80) -> str:
    gathered = [Gathered.of(each, compare_cases(each, RULES)) for each in pairings]
    return plain(comparison_lines(gathered, RULES, width))


@pytest.mark.parametrize("width", [80, 120])
def test_two_runs(golden: Golden, told: Pairing, width: int) -> None:
    golden(f"compare-runs-{width}.txt", shown([told], width))


@pytest.mark.parametrize("width", [80, 120])
def test_the_variants_of_a_run(golden: Golden, several_qemus: RunRecord, width: int) -> None:
    pairings = list(pair_variants(several_qemus, "qemu"))
    golden(f"compare-by-{width}.txt", shown(pairings, width))


def test_nothing_changed(told: Pairing) -> None:
    text = shown([pair_runs(told.a, told.a)])
    assert text.splitlines()[0] == "nothing changed; 21 of 21 cases as before"
    assert len(text.splitlines()) == 5


def test_the_answer_comes_first(told: Pairing) -> None:
    first = shown([told], 120).splitlines()[0]
    assert first.startswith(
        "2 new failures, 1 new flaky case, 1 failing in another way, 1 new failing sub"
    )


def test_a_run_that_was_ended(pairing: Callable[[Any, Any], Pairing]) -> None:
    a = [(make.run(make.case(name)), [make.attempt()]) for name in ("x", "y")]
    b = [(decision, attempts if n else []) for n, (decision, attempts) in enumerate(a)]
    text = shown([pairing(a, b)])
    assert text.endswith("is not finished: 1 case without a result\n")
    assert "Only in A: 1" in text


def test_many_changes_are_bounded(pairing: Callable[[Any, Any], Pairing]) -> None:
    """Times, metrics, reasons and subtests are cut; cases that fail newly never are."""
    a: list[Any] = []
    b: list[Any] = []
    for number in range(60):
        run = make.run(make.case(f"case-{number}"))
        a.append((run, [make.attempt(subtests=[f"PASS: {'x' * n}" for n in range(1, 40)])]))
        failing = [f"FAIL: {'x' * n}" for n in range(1, 40)]
        b.append((run, [make.attempt("fail", f"reason {number}", subtests=failing)]))
    for number in range(60):
        run = make.run(make.case(f"time-{number}"))
        metrics = tuple((f"m{n}", float(n), "ns") for n in range(1, 10))
        a.append((run, [make.attempt(seconds=1.0)]))
        b.append((run, [make.attempt(seconds=10.0 + number, metrics=metrics)]))
    for number in range(60):
        case = make.case(f"skip-{number}")
        a.append((make.run(case), [make.attempt()]))
        b.append((make.skip(case, f"reason {number}"), []))
    text = shown([pairing(a, b)])
    assert text.count("pass → fail     smoke.case-") == 60
    assert text.count("… and 29 more\n") == 60
    assert text.count("smoke.time-") == 20
    assert "×69" in text  # the largest, although it came last
    assert "… and 40 more (see --json)" in text
    assert "… and 40 more reasons" in text


@pytest.mark.parametrize(("attempts", "listed"), [(1, 0), (3, 1)])
def test_metrics_without_repeats_are_only_counted(
    pairing: Callable[[Any, Any], Pairing], attempts: int, listed: int
) -> None:
    """The noise of what was measured once is unknown."""
    run = make.run(make.case("timer", repeat=attempts))
    sides = [
        [
            (
                run,
                [
                    make.attempt(metrics=(("late", value, "s"),), number=n + 1)
                    for n in range(attempts)
                ],
            )
        ]
        for value in (0.3, 0.012)
    ]
    compared = pairing(*sides)
    text = shown([compared])
    assert text.count("300 ms → 12 ms") == listed
    assert text.count("1 metric without repeats changed; their noise is unknown") == 1 - listed
    every = Gathered.of(compared, compare_cases(compared, RULES), all_metrics=True)
    assert "300 ms → 12 ms  -96 %" in plain(comparison_lines([every], RULES, 80))


def test_styles_name_what_they_colour(told: Pairing) -> None:
    gathered = Gathered.of(told, compare_cases(told, RULES))
    segments = [each for line in comparison_lines([gathered], RULES, 80) for each in line]
    assert ("2 new failures", Style.FAIL) in segments
    assert ("  pass → crash    ", Style.CRASH) in segments
    assert ("runs/second/cases/kut.psci.aarch64.auto", Style.PATH) in segments


texts = st.text(st.characters(codec=None), max_size=40)


@given(text=texts, width=st.integers(1, 130), kind=st.none() | st.sampled_from(ChangeKind))
def test_any_text_at_any_width_is_printable(text: str, width: int, kind: ChangeKind | None) -> None:
    side = Side(text, Verdict.FAIL, text, 1, text, text, text, f"cases/{text}")
    change = MeasuredChange(text, text, Sample(1.0, 0.0, 1), Sample(2.0, 0.0, 2))
    case = CaseComparison(
        text,
        text,
        text,
        a=replace(side, verdict=Verdict.PASS),
        b=side,
        kind=kind,
        subtests=tuple(
            SubtestChange(text, each, Verdict.PASS, Verdict.FAIL, text, True) for each in ChangeKind
        ),
        seconds=change,
        metrics=(change,),
        differences=(Difference(text, text, text),),
    )
    record = RunRecord(RunDirectory(Path("no\x1brun")), make.info(), [])
    record.info = replace(record.info, hostname=text, started=text)
    pairings = [
        Pairing(record, record, (), (Difference(text, text, text),)),
        Pairing(record, record, (), axis="machine", values=(text, text)),
    ]
    gathered = [Gathered.of(pairing, [case]) for pairing in pairings]
    lines = list(comparison_lines(gathered, RULES, width))
    assert all(part.isprintable() for line in lines for part, _ in line)
