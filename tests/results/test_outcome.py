import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.errors import ExitCode
from matrix.results.case_record import record_of
from matrix.results.outcome import (
    WORST_FIRST,
    counts_as_failure,
    exit_code,
    merged_verdict,
)
from matrix.verdicts import Verdict
from tests import make


def test_every_verdict_has_its_place() -> None:
    assert sorted(WORST_FIRST) == sorted(Verdict)


def test_one_attempt_speaks_for_itself() -> None:
    attempt = make.attempt("fail", "1 of 2 subtests failed", seconds=1.5)
    result = record_of(make.case(), [attempt])
    assert (result.verdict, result.reason, result.seconds) == (Verdict.FAIL, attempt.reason, 1.5)
    assert result.artifacts == attempt.artifacts


def test_attempts_that_agree_give_their_verdict() -> None:
    attempts = [make.attempt("fail", f"reason {n}", number=n) for n in (3, 1, 2)]
    result = record_of(make.case(), attempts)
    assert (result.verdict, result.reason) == (Verdict.FAIL, "reason 1")
    assert [each.number for each in result.attempts] == [1, 2, 3]
    assert result.seconds == 1.5


def test_attempts_that_differ_are_flaky_with_both_outcomes() -> None:
    attempts = [
        make.attempt("pass", number=1),
        make.attempt("timeout", "not finished after 90 s", number=2, subtests=["FAIL: a"]),
        make.attempt("pass", number=3),
    ]
    result = record_of(make.case(), attempts)
    assert result.verdict is Verdict.FLAKY
    assert result.reason == (
        "2 of 3 attempts: pass (attempt 1); 1: timeout (attempt 2: not finished after 90 s)"
    )
    assert result.artifacts == attempts[1].artifacts
    assert [each.name for each in result.not_passed] == ["a"]


def test_a_host_that_failed_once_is_an_error() -> None:
    attempts = [make.attempt("pass", number=1), make.attempt("error", "no space", number=2)]
    result = record_of(make.case(), attempts)
    assert result.verdict is Verdict.ERROR
    assert result.reason == "1 of 2 attempts: pass (attempt 1); 1: error (attempt 2: no space)"


@given(st.lists(st.sampled_from(Verdict), min_size=1, max_size=6))
def test_a_difference_never_passes(verdicts: list[Verdict]) -> None:
    merged = merged_verdict(verdicts)
    if len(set(verdicts)) == 1:
        assert merged is verdicts[0]
    elif set(verdicts) == {Verdict.PASS, Verdict.XFAIL}:
        assert merged is Verdict.XFAIL, "it is known to fail sometimes"
    else:
        assert not merged.good


@pytest.mark.parametrize(
    ("counts", "unfinished", "strict", "code"),
    [
        ({}, False, False, ExitCode.NOTHING_SELECTED),
        ({Verdict.PASS: 0}, False, False, ExitCode.NOTHING_SELECTED),
        ({Verdict.PASS: 3, Verdict.FAIL: 0}, False, False, ExitCode.OK),
        ({Verdict.SKIP: 3}, False, False, ExitCode.NOTHING_SELECTED),
        ({Verdict.SKIP: 3, Verdict.PASS: 1}, False, False, ExitCode.OK),
        ({Verdict.XFAIL: 1, Verdict.XPASS: 1}, False, False, ExitCode.OK),
        ({Verdict.XFAIL: 1, Verdict.XPASS: 1}, False, True, ExitCode.NOT_PASSED),
        ({Verdict.PASS: 1}, False, True, ExitCode.OK),
        ({Verdict.PASS: 9, Verdict.FLAKY: 1}, False, False, ExitCode.NOT_PASSED),
        ({Verdict.FAIL: 1}, False, False, ExitCode.NOT_PASSED),
        ({Verdict.TIMEOUT: 1}, False, False, ExitCode.NOT_PASSED),
        ({Verdict.STALL: 1}, False, False, ExitCode.NOT_PASSED),
        ({Verdict.CRASH: 1}, False, False, ExitCode.NOT_PASSED),
        ({Verdict.FAIL: 5, Verdict.ERROR: 1}, False, False, ExitCode.ERROR),
        ({Verdict.PASS: 5}, True, False, ExitCode.INTERRUPTED),
        ({Verdict.ERROR: 5}, True, False, ExitCode.INTERRUPTED),
        ({}, True, False, ExitCode.INTERRUPTED),
    ],
)
def test_exit_codes(
    counts: dict[Verdict, int], unfinished: bool, strict: bool, code: ExitCode
) -> None:
    assert exit_code(counts, unfinished=unfinished, strict=strict) is code


@given(st.dictionaries(st.sampled_from(Verdict), st.integers(1, 3), min_size=1), st.booleans())
def test_exit_0_means_that_something_ran_and_nothing_failed(
    counts: dict[Verdict, int], strict: bool
) -> None:
    code = exit_code(counts, unfinished=False, strict=strict)
    failed = any(counts_as_failure(verdict, strict=strict) for verdict in counts)
    assert (code is ExitCode.OK) == (not failed and bool(counts.keys() - {Verdict.SKIP}))
    short = exit_code(counts, unfinished=False, strict=strict, short=True)
    assert short is (ExitCode.NOT_PASSED if code is ExitCode.OK else code)
