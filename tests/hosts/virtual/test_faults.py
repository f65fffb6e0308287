"""What a guest's end in a virtual host comes to, and what the host's own faults make of it."""

from pathlib import Path

import pytest

from matrix.attempt import Attempt, Ending
from matrix.hosts.virtual.kernel_log import Report
from matrix.hosts.virtual.l1_guest import ProgramResult
from matrix.hosts.virtual.protocol import KernelRecord, ProgramEnded
from matrix.hosts.virtual.virtual_host import _keep_log, _with_faults
from matrix.hosts.virtual.vmm import outcome_of, proving_cases, words_of
from matrix.model import Accelerator, Architecture
from matrix.plan.decisions import Run
from matrix.verdicts import Verdict
from matrix.vm.console import Tail

CASE = next(proving_cases(Architecture.AARCH64))
DECISION = Run(CASE, Accelerator.KVM, "a virtual KVM host", 1, 1 << 28)
PASSED = Attempt(1, Verdict.PASS, "3 tests", 0.1)


def ended(
    status: int | None = 0, signal: int | None = None, *, limit: bool = False
) -> ProgramEnded:
    return ProgramEnded(1, status, signal, limit, 0.5, 0)


@pytest.mark.parametrize(
    ("end", "ending"),
    [
        (ended(), Ending.EXITED),
        (ended(69), Ending.REFUSED),
        (ended(70), Ending.INTERNAL_ERROR),
        (ended(71), Ending.EXITED),
        (ended(None, 9), Ending.KILLED),
        (ended(None, 9, limit=True), Ending.TIMEOUT),
    ],
)
def test_the_end_of_the_vmm_is_that_of_an_emulator(end: ProgramEnded, ending: Ending) -> None:
    tail = Tail()
    tail.write(b"KVM_CREATE_VM: error 22\n")
    outcome = outcome_of(ProgramResult(end, "", "", ()), tail)
    assert outcome.ending is ending
    assert outcome.panicked is (end.status == 71)
    assert outcome.last_line == "KVM_CREATE_VM: error 22"


def test_a_host_that_is_lost_and_a_run_that_is_cancelled() -> None:
    lost = outcome_of(ProgramResult(None, "it closed its port", "", ()))
    assert (lost.ending, lost.reason) == (
        Ending.KILLED,
        "the virtual host was lost: it closed its port",
    )
    cancelled = ProgramResult(ended(None, 9), "", "", (), cancelled=True)
    assert outcome_of(cancelled).ending is Ending.INTERRUPTED


def test_what_the_hosts_kernel_reports_fails_a_guest_that_passed() -> None:
    report = Report("WARNING: CPU: 0 PID: 61 at virt/kvm/x.c:1", ())
    sound, where = ProgramResult(ended(), "", "", ()), "in x at kvm/x.c:1"
    attempt = _with_faults(PASSED, sound, report, DECISION, where)
    assert attempt.verdict is Verdict.FAIL
    assert attempt.reason == f"the host's kernel reports: {report.line}; {where}"


def test_a_lost_host_is_a_crash_whatever_else_is_known() -> None:
    result = ProgramResult(None, "Kernel panic - not syncing: x", "", ())
    attempt = _with_faults(PASSED, result, Report("BUG: y", ()), DECISION, "")
    assert attempt.verdict is Verdict.CRASH
    assert attempt.reason == "the virtual host was lost: Kernel panic - not syncing: x"


def test_the_log_says_what_it_lacks(tmp_path: Path) -> None:
    records = (KernelRecord(7, 6, 1.5, "a"), KernelRecord(10, 6, 1.75, "b"))
    _keep_log(tmp_path, ProgramResult(ended(), "", "", records))
    assert (tmp_path / "kernel.log").read_text() == (
        "[    1.500000] a\n[    1.750000] b\n"
        "matrix: 2 records were overwritten before they were read\n"
    )


def test_a_sound_host_changes_nothing() -> None:
    assert _with_faults(PASSED, ProgramResult(ended(), "", "", ()), None, DECISION, "") is PASSED


def test_the_guest_is_told_its_memory() -> None:
    words = words_of(CASE, "/files/x")
    assert words[:5] == ("/init", "vmm", "/files/x", "256", "1")
    assert words[5].startswith("boot 256 ")
