"""What hops make of a guest's own verdict."""

from dataclasses import replace
from typing import Any

import pytest

from matrix.attempt import ChainResult, Ending, Outcome
from matrix.migrating import MigrationSummary
from matrix.model import Expectation
from matrix.suites.judgement import Judgement
from matrix.verdict.bad_hops import apply_hops
from matrix.verdicts import Verdict

PASSED = Judgement(Verdict.PASS, "6 tests")


def result(hops: int = 3, **fields: Any) -> ChainResult:
    broken = fields.pop("broken", ())
    summary = MigrationSummary(hops, hops, 0, len(fields.get("bad", ())), 1, 1.0, broken=broken)
    return ChainResult(Outcome(Ending.EXITED, 1.0), summary, **fields)


@pytest.mark.parametrize(
    ("guest", "came_of_it", "verdict", "reason"),
    [
        (PASSED, result(), Verdict.PASS, "6 tests; migrated 3 times"),
        (PASSED, result(1), Verdict.PASS, "6 tests; migrated 1 time"),
        (PASSED, result(0), Verdict.PASS, "6 tests; ended before it was migrated"),
        (PASSED, result(bad=("hop 2: why",)), Verdict.FAIL, "hop 2: why"),
        (
            PASSED,
            result(bad=("hop 2: a", "hop 3: b"), broken=("hop 4: c",)),
            Verdict.FAIL,
            "hop 2: a; hop 3: b; and 1 more",
        ),
        (PASSED, result(broken=("hop 9: downtime",)), Verdict.FAIL, "hop 9: downtime"),
        (
            Judgement(Verdict.SKIP, "QEMU refused: no"),
            result(0, refused_by="other 7.2.0"),
            Verdict.SKIP,
            "destination QEMU other 7.2.0: QEMU refused: no",
        ),
        (
            Judgement(Verdict.TIMEOUT, "timed out"),
            result(bad=("hop 2: why",)),
            Verdict.TIMEOUT,
            "hop 2: why; timed out",
        ),
        (
            Judgement(Verdict.CRASH, "killed"),
            result(lost="dead", bad=("hop 2: dead",)),
            Verdict.FAIL,
            "the guest was lost: hop 2: dead",
        ),
        (
            Judgement(Verdict.CRASH, "killed"),
            result(lost="the source was killed", lost_as_expected=True),
            Verdict.PASS,
            "the guest was lost, as it had to be: the source was killed",
        ),
        (Judgement(Verdict.ERROR, "no space"), result(bad=("x",)), Verdict.ERROR, "no space"),
        (Judgement(Verdict.FAIL, "1 failed"), result(), Verdict.FAIL, "1 failed"),
    ],
)
def test_verdicts(guest: Judgement, came_of_it: ChainResult, verdict: Verdict, reason: str) -> None:
    judgement = apply_hops(guest, came_of_it)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)


def known(*hops: str, reason: str = "bug 1") -> Expectation:
    return Expectation("known.yaml:2", reason, ("*",), hops=hops)


@pytest.mark.parametrize(
    ("guest", "came_of_it", "verdict", "reason"),
    [
        (PASSED, result(bad=("hop 2: EPERM",)), Verdict.XFAIL, "known: bug 1 (hop 2: EPERM)"),
        (
            Judgement(Verdict.FAIL, "no end"),
            result(lost="EPERM", bad=("hop 2: EPERM",)),
            Verdict.XFAIL,
            "known: bug 1 (hop 2: EPERM)",
        ),
        (
            PASSED,
            result(bad=("hop 2: EPERM", "hop 3: EIO")),
            Verdict.FAIL,
            "hop 2: EPERM; hop 3: EIO",
        ),
        (
            Judgement(Verdict.FAIL, "1 failed"),
            result(bad=("hop 2: EPERM",)),
            Verdict.FAIL,
            "1 failed",
        ),
        (
            PASSED,
            result(bad=("hop 2: EPERM",), broken=("hop 4: c",)),
            Verdict.FAIL,
            "hop 2: EPERM; hop 4: c",
        ),
        (Judgement(Verdict.SKIP, "no"), result(bad=("hop 2: EPERM",)), Verdict.SKIP, "no"),
        (PASSED, result(), Verdict.PASS, "6 tests; migrated 3 times"),
    ],
)
def test_known_bad_hops_leave_the_guest_its_own_verdict(
    guest: Judgement, came_of_it: ChainResult, verdict: Verdict, reason: str
) -> None:
    expected = (known("EP*", "ESRCH"), known("EPERM", reason="bug 2"))
    judgement = apply_hops(guest, came_of_it, expected=expected)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)


def test_of_more_bad_hops_than_are_told_not_all_are_known() -> None:
    summary = replace(result(bad=("hop 1: EPERM",)).summary, bad=30)
    told = replace(result(bad=("hop 1: EPERM",)), summary=summary)
    assert apply_hops(PASSED, told, expected=(known("EPERM"),)).verdict is Verdict.FAIL
