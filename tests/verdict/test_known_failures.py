"""What known failures make of an attempt, and on which hosts they hold."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.attempt import Attempt
from matrix.model import Architecture, Build, Endian, Expectation
from matrix.verdict.known_failures import apply_known_failures, covering, reason_of
from matrix.verdicts import KNOWABLE, Subtest, SubtestVerdict, Verdict

FAILED = SubtestVerdict.FAIL
BUILD = Build(Architecture.X86_64, "/b", "/b/x86", efi=True, endian=Endian.BIG)


def known(line: int = 1, reason: str = "a bug", **conditions: Any) -> Expectation:
    return Expectation(f"known.yaml:{line}", reason, ("*",), **conditions)


def attempt(verdict: Verdict, *failing: str, **more: Any) -> Attempt:
    subtests = tuple(Subtest(name, FAILED) for name in failing)
    made = Attempt(
        number=1,
        verdict=verdict,
        reason="what happened",
        seconds=1.0,
        subtests=(Subtest("fine", SubtestVerdict.PASS), *subtests),
        subtest_counts=((SubtestVerdict.PASS, 1), (FAILED, len(failing))),
        by_subtests=verdict is Verdict.FAIL and bool(failing),
    )
    return replace(made, **more)


def test_without_known_failures_nothing_changes() -> None:
    before = attempt(Verdict.FAIL, "x")
    assert apply_known_failures(before, ()) is before


def test_what_is_known_of_hops_is_not_known_of_guests() -> None:
    hops = known(hops=("*",))
    for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.XFAIL):
        before = attempt(verdict)
        assert apply_known_failures(before, [hops]) is before
    after = apply_known_failures(attempt(Verdict.FAIL), [hops, known(2, "another bug")])
    assert after.reason == "known: another bug (what happened)"
    assert covering(attempt(Verdict.FAIL), [hops]) == ()


def test_a_known_failure_is_expected() -> None:
    after = apply_known_failures(attempt(Verdict.FAIL), [known()])
    assert after.verdict is Verdict.XFAIL
    assert after.observed is Verdict.FAIL
    assert after.reason == "known: a bug (what happened)"


def test_what_happened_is_not_said_twice() -> None:
    entry = known(reason="timed out after 90 s at 0xffe0")
    seen = attempt(Verdict.FAIL, reason="timed out after 4.5 s at 0x12")
    assert apply_known_failures(seen, [entry]).reason == "known: timed out after 90 s at 0xffe0"


def test_a_pass_names_what_should_be_removed() -> None:
    after = apply_known_failures(attempt(Verdict.PASS), [known(3), known(9, "another")])
    assert after.verdict is Verdict.XPASS
    assert after.observed is Verdict.PASS
    assert after.reason == (
        "known: a bug; another; if that is over, remove known.yaml:3 and known.yaml:9"
    )


@pytest.mark.parametrize("verdict", [Verdict.SKIP, Verdict.ERROR])
def test_skips_and_errors_stay(verdict: Verdict) -> None:
    before = attempt(verdict)
    assert apply_known_failures(before, [known(verdicts=KNOWABLE)]) is before


def test_another_verdict_stays_and_says_what_was_expected() -> None:
    after = apply_known_failures(
        attempt(Verdict.CRASH), [known(3), known(4, verdicts=(Verdict.TIMEOUT,))]
    )
    assert (after.verdict, after.observed) == (Verdict.CRASH, None)
    assert after.reason == (
        "what happened; expected otherwise, as fail or timeout (known.yaml:3 and known.yaml:4)"
    )


def test_another_reason_is_a_failure() -> None:
    abort = known(verdicts=(Verdict.CRASH, Verdict.PASS), seen=("mutex*Assertion", "out of [a-c]"))
    for reason in ("QEMU: mutex_lock: Assertion failed", "out of b"):
        crash = attempt(Verdict.CRASH, reason=reason)
        after = apply_known_failures(crash, [abort])
        assert after.reason == f"known: a bug ({reason})"
        assert covering(after, [abort]) == (abort,)
        assert reason_of(after, [abort]) == "a bug"
    other = apply_known_failures(attempt(Verdict.CRASH, reason="Segmentation fault"), [abort])
    assert other.verdict is Verdict.CRASH
    assert other.reason == "Segmentation fault; expected for another reason (known.yaml:1)"
    assert reason_of(other, [abort]) == "Segmentation fault"
    assert apply_known_failures(attempt(Verdict.PASS), [abort]).verdict is Verdict.PASS


def test_one_that_fails_only_sometimes_passes_plainly() -> None:
    sometimes = known(verdicts=(Verdict.FAIL, Verdict.PASS))
    passed = attempt(Verdict.PASS)
    assert apply_known_failures(passed, [sometimes]) is passed
    assert apply_known_failures(attempt(Verdict.FAIL), [sometimes]).verdict is Verdict.XFAIL


class TestSubtests:
    def test_known_ones_are_expected(self) -> None:
        after = apply_known_failures(
            attempt(Verdict.FAIL, "pmu: a", "pmu: b"), [known(subtests=("pmu: *",))]
        )
        assert after.verdict is Verdict.XFAIL

    def test_another_one_is_a_failure_and_is_named(self) -> None:
        before = attempt(Verdict.FAIL, "pmu: a", *"bcde")
        after = apply_known_failures(before, [known(subtests=("pmu: *",))])
        assert after.verdict is Verdict.FAIL
        assert after.reason == (
            "what happened; not all of it is expected (known.yaml:1): b; c; d; and 1 more"
        )

    def test_several_entries_together_may_account_for_all(self) -> None:
        entries = [known(1, "first", subtests=("a",)), known(2, "second", subtests=("b", "c"))]
        after = apply_known_failures(attempt(Verdict.FAIL, "c", "a"), entries)
        assert after.verdict is Verdict.XFAIL
        assert after.reason.startswith("known: second; first (")
        only = apply_known_failures(attempt(Verdict.FAIL, "b"), entries)
        assert only.reason.startswith("known: second (")

    def test_an_entry_without_subtests_accounts_for_all(self) -> None:
        entries = [known(1, subtests=("a",)), known(2)]
        assert covering(attempt(Verdict.FAIL, "z"), entries) == (entries[1],)

    def test_the_entry_that_says_most_speaks(self) -> None:
        entries = [known(1), known(2, subtests=("a",)), known(3, subtests=("a", "b"))]
        assert covering(attempt(Verdict.FAIL, "a"), entries) == (entries[1],)
        assert covering(attempt(Verdict.FAIL, "a", "b"), entries) == (entries[2],)
        assert covering(attempt(Verdict.FAIL, "a", "c"), entries) == (entries[0],)
        assert covering(attempt(Verdict.FAIL), entries) == (entries[0],)

    def test_a_subtest_that_passed_unexpectedly_is_a_failure(self) -> None:
        surprise = (Subtest("odd", SubtestVerdict.XPASS),)
        before = attempt(Verdict.FAIL, subtests=surprise, by_subtests=True)
        assert apply_known_failures(before, [known(subtests=("x",))]).verdict is Verdict.FAIL
        assert apply_known_failures(before, [known(subtests=("odd",))]).verdict is Verdict.XFAIL

    def test_a_guest_that_died_besides_is_a_failure(self) -> None:
        """The known subtest failed, and then the guest aborted."""
        before = attempt(Verdict.FAIL, "a", by_subtests=False)
        after = apply_known_failures(before, [known(subtests=("a",))])
        assert after.verdict is Verdict.FAIL
        assert "more went wrong than the subtests that are expected" in after.reason

    def test_a_hang_may_come_before_any_subtest_failed(self) -> None:
        entries = [known(verdicts=(Verdict.STALL,), subtests=("a",))]
        assert apply_known_failures(attempt(Verdict.STALL), entries).verdict is Verdict.XFAIL
        assert apply_known_failures(attempt(Verdict.STALL, "a"), entries).verdict is Verdict.XFAIL
        assert apply_known_failures(attempt(Verdict.STALL, "b"), entries).verdict is Verdict.STALL

    def test_what_is_only_counted_is_not_known(self) -> None:
        entries = [known(verdicts=(Verdict.STALL,), subtests=("*",))]
        before = attempt(Verdict.STALL, "a", subtest_counts=((FAILED, 2),))
        assert apply_known_failures(before, entries).verdict is Verdict.STALL


def test_what_covers_can_be_asked_again_afterwards() -> None:
    entries = [known(1, subtests=("a",)), known(2, verdicts=(Verdict.CRASH,))]
    before = attempt(Verdict.FAIL, "a")
    assert (
        covering(apply_known_failures(before, entries), entries) == covering(before, entries) != ()
    )


_patterns = st.lists(st.sampled_from(["a", "b", "?", "[ab]"]), max_size=2).map(tuple)
_verdict_sets = st.lists(st.sampled_from([*KNOWABLE, Verdict.PASS]), min_size=1).map(tuple)
_entries = st.lists(st.builds(known, verdicts=_verdict_sets, subtests=_patterns), max_size=4)
_attempts = st.builds(
    lambda verdict, failing, by: attempt(verdict, *failing, by_subtests=by),
    st.sampled_from([*KNOWABLE, Verdict.PASS, Verdict.SKIP, Verdict.ERROR]),
    st.lists(st.sampled_from(["a", "b", "cc"]), max_size=3),
    st.booleans(),
)


@given(_attempts, _entries)
def test_it_only_ever_excuses_what_is_known(before: Attempt, entries: list[Expectation]) -> None:
    after = apply_known_failures(before, entries)
    assert before.reason in after.reason or after.verdict is Verdict.XPASS
    assert (after.observed is None) == (after.verdict is before.verdict)
    if after.verdict is Verdict.XFAIL:
        assert before.verdict in KNOWABLE
        assert any(before.verdict in entry.verdicts for entry in entries)
    elif after.verdict is Verdict.XPASS:
        assert before.verdict is Verdict.PASS
        assert entries
    else:
        assert after.verdict is before.verdict
