"""Cases whose guests are migrated, from the decision to the attempt."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from matrix.inventory import Binary, Host, Inventory
from matrix.migrating import (
    Hop,
    Migration,
    MigrationMode,
    MigrationSummary,
    Strategy,
)
from matrix.migration.chain import ChainResult
from matrix.migration.records import HOPS_FILE, read_hops
from matrix.model import (
    Accelerator,
    Architecture,
    Attempt,
    Case,
    Ending,
    Expectation,
    Outcome,
    Variant,
    Verdict,
)
from matrix.plan.decisions import Run
from matrix.results.recorder import Recorder
from matrix.run.executor import Assignment, LocalExecutor
from matrix.run.migrating import judged
from matrix.suites.build import builtin_build
from matrix.suites.console import ConsoleParser
from matrix.suites.unittests import read_tests
from matrix.verdict.judgement import Judgement

PASSED = Judgement(Verdict.PASS, "6 tests")
X86 = Architecture.X86_64


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
            result(lost="the source was killed", lost_rightly=True),
            Verdict.PASS,
            "the guest was lost, as it had to be: the source was killed",
        ),
        (Judgement(Verdict.ERROR, "no space"), result(bad=("x",)), Verdict.ERROR, "no space"),
        (Judgement(Verdict.FAIL, "1 failed"), result(), Verdict.FAIL, "1 failed"),
    ],
)
def test_verdicts(guest: Judgement, came_of_it: ChainResult, verdict: Verdict, reason: str) -> None:
    judgement = judged(guest, came_of_it)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)


def test_what_its_qemu_is_known_to_lose_is_told_where_a_guest_fails_of_it() -> None:
    failed, flaw = Judgement(Verdict.FAIL, "1 failed"), "QEMU 7.2 loses"
    assert judged(failed, result(), flaw) == replace(failed, reason="1 failed; QEMU 7.2 loses")
    assert judged(failed, result(0), flaw) == failed
    assert judged(PASSED, result(), flaw) == judged(PASSED, result())
    assert judged(PASSED, result(bad=("hop 2: silent",)), flaw).reason.endswith(flaw)


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
    judgement = judged(guest, came_of_it, expected=expected)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)


def test_of_more_bad_hops_than_are_told_not_all_are_known() -> None:
    summary = replace(result(bad=("hop 1: EPERM",)).summary, bad=30)
    told = replace(result(bad=("hop 1: EPERM",)), summary=summary)
    assert judged(PASSED, told, expected=(known("EPERM"),)).verdict is Verdict.FAIL


@pytest.mark.qemu
def test_an_attempt_has_its_hops(start: Callable[..., Recorder]) -> None:
    path = shutil.which("qemu-system-x86_64")
    if path is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    build = builtin_build(X86)
    # Not one that ends by itself: on a busy host it would, before its first hop.
    tests = {each.name: each for each in read_tests(build, max_smp=2)}
    test = tests["ram-integrity"]
    migration = Migration(
        mode=MigrationMode.CONTINUOUS, strategies=(Strategy.POSTCOPY,), hops=2, pace=0.0
    )
    variant = Variant(X86, Accelerator.TCG)
    case = Case("s.ram-integrity", "s", "builtin", test, variant, build, migration=migration)
    binaries = [
        Binary(name, X86, path, (7, 2, 0), "7.2.0", sandbox=True) for name in ("system", "other")
    ]
    host = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=2**33)
    inventory = Inventory(host, binaries=tuple(binaries))
    heard: list[tuple[str, Hop]] = []

    def run(case: Case) -> Attempt:
        decision = Run(case, Accelerator.TCG, "asked for", 1, 2**28)
        recorder = start(decision)
        directory = recorder.begin(case, 1)
        executor = LocalExecutor(
            inventory, recorder.run, seed=5, on_hop=lambda name, hop: heard.append((name, hop))
        )
        assignment = Assignment(decision, 1, directory)
        attempt = asyncio.run(executor.execute(assignment, ConsoleParser(), asyncio.Event()))
        assert attempt is not None
        assert (attempt.verdict, attempt.migration is None) == (Verdict.PASS, False)
        told = json.loads((directory / "migration.json").read_text())
        assert told["summary"]["seed"] == 5
        hops = list(read_hops(directory / HOPS_FILE))
        assert [hop for _, hop in heard] == hops
        return attempt

    attempt = run(case)
    assert attempt.migration is not None
    assert attempt.migration.completed >= 1
    assert "; migrated " in attempt.reason
    heard.clear()
    elsewhere = replace(case, variant=replace(variant, destination="other"))
    run(elsewhere)
    assert heard[0][1].source == "system 7.2.0"
    assert heard[0][1].destination == "other 7.2.0"
