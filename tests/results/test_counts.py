"""Numbers that add up, over random results, wherever they are shown."""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.results.case_record import CaseRecord, record_of
from matrix.results.compare.changes import CaseComparison, Side, classify
from matrix.results.compare.tally import Tally
from matrix.results.counts import Counts
from matrix.results.segments import plain
from matrix.results.tables import Overview
from matrix.verdicts import Verdict
from tests import make

VERDICTS = st.lists(st.sampled_from([*Verdict, None]), max_size=40)
NUMBER = re.compile("[0-9]+")


@settings(max_examples=50)
@given(VERDICTS)
def test_the_numbers_add_up(verdicts: list[Verdict | None]) -> None:
    counts = Counts.of(verdicts)
    assert counts.total == len(verdicts) == counts.ran + counts.skipped + counts.unfinished
    assert counts.ran == counts.passed + sum(count for _, count in counts.others())
    assert counts.ran == sum(each not in (Verdict.SKIP, None) for each in verdicts)
    said = summed(counts.words())
    assert said == counts.total


def summed(words: str) -> int:
    """The cases that words as ``9 of 12 passed, 2 xfail, 1 fail, 21 skipped`` are about."""
    parts = [part for part in words.split(", ") if part and part != "none ran"]
    numbers = [int(NUMBER.findall(part)[0]) for part in parts]
    ran = [int(NUMBER.findall(part)[1]) for part in parts if " of " in part]
    in_all = sum(numbers)
    apart = sum(
        number
        for number, part in zip(numbers, parts, strict=True)
        if part.endswith((" skipped", " unfinished"))
    )
    assert ran in ([], [in_all - apart])
    return in_all


@pytest.mark.parametrize(
    ("verdicts", "words", "cell"),
    [
        ("", "", "-"),
        ("pass", "1 of 1 passed", "pass"),
        ("skip", "none ran, 1 skipped", "skip"),
        ("skip skip", "none ran, 2 skipped", "2 skip"),
        (
            "pass pass pass xfail" + " skip" * 7,
            "3 of 4 passed, 1 xfail, 7 skipped",
            "xfail 3/4, 7 skip",
        ),
        ("pass skip", "1 of 1 passed, 1 skipped", "pass 1/1, 1 skip"),
        ("fail pass xpass", "1 of 3 passed, 1 xpass, 1 fail", "fail 1/3"),
    ],
)
def test_in_words(verdicts: str, words: str, cell: str) -> None:
    counts = Counts.of(Verdict(each) for each in verdicts.split())
    assert (counts.words(), counts.cell()) == (words, cell)


def test_what_was_reused_is_counted_apart() -> None:
    counts = Counts(Counter({Verdict.PASS: 72, Verdict.FAIL: 1}), reused=70)
    assert counts.words() == "72 of 73 passed, 70 of them reused, 1 fail"
    assert counts.document()["reused"] == 70
    assert "reused" not in Counts(Counter({Verdict.PASS: 1})).document()


def result(verdict: Verdict, test: str, smp: int) -> CaseRecord:
    return record_of(make.case(test, smp=smp), [make.attempt(verdict)])


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(list(Verdict)), st.integers(1, 3)), min_size=8, max_size=40)
)
def test_the_rows_of_a_folded_table_add_up(cases: list[tuple[Verdict, int]]) -> None:
    overview = Overview()
    for number, (verdict, smp) in enumerate(cases):
        overview.add(result(verdict, f"quite-a-long-test-{number}", smp))
    head, *lines = plain(overview.lines(72)).splitlines()
    names = head[head.index("passed") :].split()[1:]
    total = 0
    for line in lines:
        passed, ran, others = re.findall(r" (\d+)/(\d+)(.*)", line)[0]
        numbers = [int(each.replace("-", "0")) for each in others.split()]
        counts = dict(zip(names, numbers, strict=True))
        skipped = counts.pop("skip", 0)
        assert int(ran) == int(passed) + sum(counts.values())
        total += int(ran) + skipped
    assert total == len(cases)


def test_cases_that_share_a_cell_are_all_in_it() -> None:
    overview = Overview()
    for verdict in [Verdict.PASS] * 3 + [Verdict.XFAIL] + [Verdict.SKIP] * 7:
        overview.add(result(verdict, "boot", 1))
    assert plain(overview.lines(80)).splitlines()[1].endswith("  xfail 3/4, 7 skip")


SIDES = st.none() | st.sampled_from([*Verdict, None]).map(lambda verdict: (verdict,))


@settings(max_examples=50)
@given(st.lists(st.tuples(SIDES, SIDES).filter(any), max_size=30))
def test_a_comparison_counts_the_cases_of_either_side(pairs: list[tuple[Any, Any]]) -> None:
    tally = Tally()
    for a, b in pairs:
        before, after = (_side(*each) if each else None for each in (a, b))
        kind = classify(a[0] if a else None, b[0] if b else None)
        tally.add(CaseComparison("s", "t", "v", before, after, kind))
    for name, place in (("a", 0), ("b", 1)):
        numbers: Any = tally.document()[name]
        expected = Counter(pair[place][0] for pair in pairs if pair[place])
        assert numbers["ran"] + numbers["skipped"] + numbers["unfinished"] == expected.total()
        assert (numbers["passed"], numbers["skipped"]) == (
            expected[Verdict.PASS],
            expected[Verdict.SKIP],
        )


def _side(verdict: Verdict | None) -> Side:
    return Side("s.t.v", verdict, "", 1, "tcg", "", "", "")
