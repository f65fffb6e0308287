"""What in a kernel's log is a fault of the kernel's."""

import pytest

from matrix.hosts.virtual.kernel_log import (
    ConsoleReports,
    console_report,
    first_report,
    missed,
    panic_line,
)
from matrix.hosts.virtual.protocol import KernelRecord


def records(*texts: str) -> list[KernelRecord]:
    return [KernelRecord(number, 4, 0.0, text) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: CPU: 0 PID: 61 at arch/x86/kvm/mmu/mmu.c:1, f+0x1/0x2 [kvm]",
        "BUG: unable to handle page fault for address: 0000000000000010",
        "kernel BUG at virt/kvm/kvm_main.c:42!",
        "Oops: general protection fault, 0000 [#1]",
        "Internal error: Oops: 0000000096000004 [#1] SMP",
        "BUG: KASAN: slab-use-after-free in kvm_put_kvm+0x1/0x2",
        "UBSAN: shift-out-of-bounds in arch/x86/kvm/lapic.c:1:2",
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        "INFO: task kworker/0:1:9 blocked for more than 120 seconds.",
        "WARNING: possible circular locking dependency detected",
        "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [vmm:61]",
    ],
)
def test_reports_are_found_with_what_follows(line: str) -> None:
    report = first_report(records("kvm [61]: vcpu0", line, "Call trace:", " f+0x1/0x2"))
    assert report is not None
    assert report.line == line
    assert report.trace == (line, "Call trace:", " f+0x1/0x2")


@pytest.mark.parametrize(
    "line",
    [
        "kvm [1]: nv: 568 coarse grained trap handlers",
        "Spectre V2 : WARNING-free boot",
        "random: crng init done",
        "debug: BUGGY hardware",
    ],
)
def test_other_lines_are_none(line: str) -> None:
    assert first_report(records(line)) is None


def test_records_that_were_overwritten_are_counted() -> None:
    assert missed(records("a", "b"), None) == 0
    assert missed([KernelRecord(9, 4, 0.0, "x"), KernelRecord(12, 4, 0.0, "y")], 5) == 5


def test_a_panic_is_read_off_the_console() -> None:
    console = b"x\r\n[    3.1] Kernel panic - not syncing: sysrq triggered crash\r\nCPU: 0\r\n"
    assert panic_line(console) == "Kernel panic - not syncing: sysrq triggered crash"
    assert panic_line(b"fine") == ""


def test_the_trace_of_a_panic_is_read_off_the_console() -> None:
    report = console_report(
        b"x\r\n[    3.1] Kernel panic - not syncing: x\r\n[ 3.2]  f+0x1/0x2\r\n"
    )
    assert report is not None
    assert report.trace == ("Kernel panic - not syncing: x", " f+0x1/0x2")
    assert console_report(b"[    3.1] fine\n") is None


def test_a_report_is_read_off_a_console_that_a_guest_prints_on_too() -> None:
    reports = ConsoleReports()
    console = (
        b"WARNING: of the guest\nINTEGRITY: BEAT n=1\n[    3.125000] rcu: tick-stop\r\n"
        b"[   24.5] rcu: INFO: rcu_preempt self-detected stall on CPU\r\n[ 25.0] BUG: later\n"
    )
    for at in range(0, len(console), 7):
        reports.feed(console[at : at + 7])
    assert reports.first == "rcu: INFO: rcu_preempt self-detected stall on CPU"
    assert reports.trace == [reports.first, "BUG: later"]
    fine = ConsoleReports()
    fine.feed(b"[ 1.0] random: crng init done\nBUG: no\n" + bytes(10000))
    assert fine.first == ""
