"""All steps from an attempt's evidence to its verdict, and their order."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

import pytest

import matrix.guests
from matrix.attempt import Assist, Attempt, ChainResult, Ending, Outcome, Transcript
from matrix.inventory import Binary, Host, Inventory
from matrix.migrating import PROOF, Migration, MigrationSummary
from matrix.model import (
    Accelerator,
    Architecture,
    Build,
    Case,
    ExitChannel,
    Expectation,
    Launch,
    Test,
    Variant,
)
from matrix.plan.decisions import Run
from matrix.verdict.assists import HINT
from matrix.verdict.deciding import Evidence, decide_attempt
from matrix.verdict.elf import read_elf
from matrix.verdicts import SkipCause, Subtest, SubtestVerdict, Verdict

X86 = Architecture.X86_64
IMAGES = Path(matrix.guests.__file__).parent / "images/x86_64/x86"
FAILED = Transcript((Subtest("a", SubtestVerdict.FAIL),), ((SubtestVerdict.FAIL, 1),))
PASSED = Outcome(Ending.EXITED, 1.5, exit_status=1)
REFUSED = Outcome(Ending.REFUSED, 0.1, stderr_tail=("qemu: no such thing",))
BUG = (
    "QEMU 7.2.0, as all before 9.0 under TCG, may have lost some of what it writes meanwhile: "
    "a known fault of QEMU's"
)


class Changes(TypedDict, total=False):
    transcript: Transcript
    hops: ChainResult
    expected: tuple[Expectation, ...]
    starts_nothing: str


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """Of a guest that has passed."""
    variant = Variant(X86, Accelerator.TCG, memory=64 << 20)
    build = Build(X86, str(IMAGES), str(IMAGES))
    test = Test("t", str(IMAGES / "guest.flat"))
    case = Case("s.t", "s", "kvm-unit-tests", test, variant, build, migration=Migration())
    host = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=2**33)
    qemu = Binary("system", X86, "/usr/bin/qemu-system-x86_64", (7, 2, 0), "7.2.0")
    return Evidence(
        decision=Run(case, Accelerator.TCG, "asked for", 1, 2**28),
        launch=Launch(("qemu",), ExitChannel.QEMU_EXIT),
        outcome=PASSED,
        transcript=Transcript(summary="1 tests"),
        hops=None,
        inventory=Inventory(host, binaries=(qemu,)),
        directory=tmp_path,
        starts_nothing=lambda _: asyncio.sleep(0, ""),
    )


def hops(outcome: Outcome, *bad: str) -> ChainResult:
    return ChainResult(outcome, MigrationSummary(3, 3 - len(bad), 0, len(bad), 1, 1.0), bad=bad)


def decided(evidence: Evidence, outcome: Outcome, **changes: Unpack[Changes]) -> Attempt:
    expected, why = changes.get("expected", ()), changes.get("starts_nothing", "")
    evidence = replace(
        evidence,
        decision=replace(evidence.decision, expected=expected),
        outcome=outcome,
        transcript=changes.get("transcript", evidence.transcript),
        hops=changes.get("hops"),
        starts_nothing=lambda _: asyncio.sleep(0, why),
    )
    return asyncio.run(decide_attempt(evidence, number=2, command="run", artifacts="cases/s.t"))


def test_every_step_in_order(evidence: Evidence) -> None:
    """Each adds to the reason what it knows, and the last but one matches all of that."""
    elf = read_elf(IMAGES / "guest.elf")
    assert elf is not None
    main = next(symbol for symbol in elf.symbols if symbol.name == "guest_main").address
    outcome = replace(
        PASSED,
        exit_status=3,
        monitor_broken="not JSON",
        assists=((Assist.CALC_DIRTY_RATE, 1),),
    )
    transcript = replace(FAILED, notes=(f"Unhandled exception 6 at ip {main:016x}",))
    reasons = (
        "hop 2: EIO",
        f"1 of 1 subtest failed: a; Unhandled exception 6 at ip {main:016x} (guest_main+0x0)",
        BUG,
        "QEMU's monitor broke the protocol: not JSON",
    )
    steps = hops(outcome, "hop 2: EIO")
    attempt = decided(evidence, outcome, transcript=transcript, hops=steps)
    assert attempt.verdict is Verdict.FAIL
    assert attempt.reason == "; ".join(reasons) + HINT
    assert (attempt.number, attempt.command, attempt.artifacts) == (2, "run", "cases/s.t")
    assert (attempt.migration, attempt.subtests) == (steps.summary, transcript.subtests)
    known = Expectation("k.yaml:1", "bug 1", ("*",), seen=("guest_main*not JSON",))
    attempt = decided(evidence, outcome, transcript=transcript, hops=steps, expected=(known,))
    assert (attempt.verdict, attempt.observed) == (Verdict.XFAIL, Verdict.FAIL)
    assert attempt.reason == f"known: bug 1 ({'; '.join(reasons)})"


def test_a_pass_needs_no_explanation(evidence: Evidence) -> None:
    attempt = decided(evidence, replace(PASSED, assists=((Assist.CALC_DIRTY_RATE, 1),)))
    assert (attempt.verdict, attempt.reason) == (Verdict.PASS, "1 tests")
    attempt = decided(evidence, PASSED, hops=hops(PASSED))
    assert (attempt.verdict, attempt.reason) == (Verdict.PASS, "1 tests; migrated 3 times")
    attempt = decided(evidence, replace(PASSED, monitor_broken="not JSON"))
    assert attempt.verdict is Verdict.PASS
    assert attempt.reason == "1 tests; QEMU's monitor broke the protocol: not JSON"


@pytest.mark.parametrize(
    ("groups", "migration", "said"),
    [((PROOF,), None, True), ((PROOF,), Migration(), False), ((), None, False)],
)
def test_a_guest_that_waits_for_its_migration_says_so(
    evidence: Evidence, groups: tuple[str, ...], migration: Migration | None, *, said: bool
) -> None:
    case = evidence.decision.case
    case = replace(case, test=replace(case.test, groups=groups), migration=migration)
    evidence = replace(evidence, decision=replace(evidence.decision, case=case))
    attempt = decided(evidence, Outcome(Ending.TIMEOUT, 20.0))
    assert attempt.verdict is Verdict.TIMEOUT
    assert ("its scenario has no 'migration'" in attempt.reason) is said


def test_known_qemu_bugs_explain_only_migrated_guests(evidence: Evidence) -> None:
    failed = replace(PASSED, exit_status=3)
    assert decided(evidence, failed, transcript=FAILED).reason == "1 of 1 subtest failed: a"
    never = replace(hops(failed), summary=MigrationSummary(1, 0, 0, 0, 1, 1.0))
    assert BUG not in decided(evidence, failed, transcript=FAILED, hops=never).reason
    assert decided(evidence, failed, transcript=FAILED, hops=hops(failed)).reason.endswith(BUG)
    assert decided(evidence, PASSED, hops=hops(PASSED, "hop 2: silent")).reason.endswith(BUG)
    broken = Outcome(Ending.ERROR, 1.0, reason="no space")
    assert decided(evidence, broken, hops=hops(broken)).reason == "no space"


def test_a_known_bad_hop_was_observed_to_fail(evidence: Evidence) -> None:
    known = Expectation("k.yaml:1", "bug 1", ("*",), hops=("EIO",))
    attempt = decided(evidence, PASSED, hops=hops(PASSED, "hop 2: EIO"), expected=(known,))
    assert (attempt.verdict, attempt.observed) == (Verdict.XFAIL, Verdict.FAIL)


def test_a_qemu_that_refuses_everything_is_an_error(evidence: Evidence) -> None:
    attempt = decided(evidence, REFUSED)
    assert (attempt.verdict, attempt.skip_cause) == (Verdict.SKIP, SkipCause.REFUSED)
    assert attempt.reason == "QEMU refused: no such thing"
    attempt = decided(evidence, REFUSED, starts_nothing="QEMU system starts no guest at all")
    assert (attempt.verdict, attempt.skip_cause) == (Verdict.ERROR, None)
    assert attempt.reason == "QEMU system starts no guest at all"
    kvmtool = replace(evidence, launch=replace(evidence.launch, monitor=False))
    assert decided(kvmtool, REFUSED, starts_nothing="it is asked over QMP").verdict is Verdict.SKIP


@pytest.mark.parametrize("outcome", [PASSED, REFUSED, Outcome(Ending.INTERRUPTED, 1.0)])
def test_a_guest_whose_disk_was_lost_says_nothing(evidence: Evidence, outcome: Outcome) -> None:
    """Nor do its hops, not even one that had to lose it."""
    lost = replace(evidence, disk_lost="its server was killed")
    expected = ChainResult(outcome, MigrationSummary(1, 0, 0, 0, 1, 1.0), "lost", True)
    for hopped in (None, expected, hops(outcome, "hop 2: EIO")):
        attempt = decided(lost, outcome, hops=hopped) if hopped else decided(lost, outcome)
        assert (attempt.verdict, attempt.reason) == (Verdict.ERROR, "its server was killed")
        assert attempt.skip_cause is None
