"""How much of a run has to run; the sentences stand in tests/cli/test_green.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.results.coverage import Covered, required, shortfalls
from matrix.verdicts import SkipCause, Verdict


def covered(*causes: SkipCause | None) -> list[Covered]:
    """Cases that are skipped for these causes, or pass (None)."""
    return [
        Covered(f"s.{number}.tcg", Verdict.SKIP if cause else Verdict.PASS, cause)
        for number, cause in enumerate(causes)
    ]


@pytest.mark.parametrize(
    ("require", "total", "cases"),
    [("3", 2, 3), ("100%", 7, 7), ("1%", 7, 1), ("50%", 7, 4), ("1%", 0, 0)],
)
def test_shares_are_rounded_up(require: str, total: int, cases: int) -> None:
    assert required(require, total) == cases


def test_what_was_not_meant_to_run_is_not_missed() -> None:
    cases = covered(None, SkipCause.SCENARIO, SkipCause.NODEFAULT)
    assert list(shortfalls(cases, "100%", ["*"], asked_by="it")) == []
    assert list(shortfalls(cases, "2", [], asked_by="it")) == [
        "1 of 1 cases ran, but it requires 2"
    ]
    assert list(shortfalls(cases, "2", [], asked_by="it", at_most_all=True)) == []


@given(st.lists(st.one_of(st.none(), st.sampled_from(SkipCause))))
def test_everything_is_required_or_any_skip_forbidden(causes: list[SkipCause | None]) -> None:
    missed = any(cause and not cause.intended for cause in causes)
    for require, patterns in (("100%", []), ("", ["*"])):
        found = list(shortfalls(covered(*causes), require, patterns, asked_by="it"))
        assert bool(found) == missed


def test_many_are_counted_and_few_are_named() -> None:
    cases = covered(*[SkipCause.NO_QEMU] * 5)
    (sentence,) = shortfalls(cases, "", ["no-*"], asked_by="it")
    assert (
        sentence
        == "it forbids skips for no-*, but s.0.tcg, s.1.tcg, s.2.tcg and 2 more did not run"
    )
