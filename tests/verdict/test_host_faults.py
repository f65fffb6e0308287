"""What a fault of its host makes of an attempt."""

import pytest

from matrix.attempt import Attempt
from matrix.model import Expectation
from matrix.verdict.host_faults import apply_host_fault
from matrix.verdicts import SkipCause, Verdict

SKIPPED = Attempt(1, Verdict.SKIP, "no PMU", 0.1, skip_cause=SkipCause.GUEST)


@pytest.mark.parametrize(
    ("lost", "reported", "verdict", "reason"),
    [
        ("it hung", "", Verdict.CRASH, "the virtual host was lost: it hung; in x.c"),
        ("", "BUG: y", Verdict.FAIL, "the host's kernel reports: BUG: y; in x.c"),
        (
            "it hung",
            "BUG: y",
            Verdict.CRASH,
            "the virtual host was lost: it hung; in x.c",
        ),
    ],
)
def test_a_fault_comes_first(lost: str, reported: str, verdict: Verdict, reason: str) -> None:
    attempt = apply_host_fault(SKIPPED, lost, reported, "in x.c", "", expected=())
    assert (attempt.verdict, attempt.reason, attempt.skip_cause) == (verdict, reason, None)


def test_without_a_fault_nothing_changes() -> None:
    assert apply_host_fault(SKIPPED, "", "", "in x.c", expected=()) is SKIPPED


def test_a_fault_may_be_known() -> None:
    known = Expectation("known.yaml:1", "a bug of 6.1", ("*",))
    attempt = apply_host_fault(SKIPPED, "", "BUG: y", expected=(known,))
    assert (attempt.verdict, attempt.observed) == (Verdict.XFAIL, Verdict.FAIL)
