"""What in a kernel's log is a fault of the kernel's. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matrix.hosts.virtual.protocol import KernelRecord

REPORTS = (
    r"WARNING: ",
    r"BUG: ",
    r"kernel BUG at ",
    r"Oops\b",
    r"Internal error: ",
    r"KASAN: |KCSAN: |KMSAN: |KFENCE: ",
    r"UBSAN: ",
    r"rcu: INFO: .*stall|rcu_\w+ (?:self-)?detected (?:expedited )?stall",
    r"INFO: task .* blocked for more than ",
    r"INFO: possible (?:circular locking|recursive locking|irq lock inversion)",
    r"possible deadlock|possible circular locking dependency",
    r"watchdog: BUG: ",
    r"general protection fault",
    r"Unable to handle kernel ",
    r"Kernel panic - not syncing",
)
"""How the kernel begins a report: lib/dump_stack, mm/kasan, kernel/rcu/tree_stall.h,
kernel/hung_task.c, kernel/locking/lockdep.c, arch/*/kernel/traps.c."""
_REPORT = re.compile("|".join(f"(?:{one})" for one in REPORTS))
_ON_CONSOLE = re.compile(rb"\[ *\d+\.\d+\] (.*(?:" + "|".join(REPORTS).encode() + rb").*)")
_LOGGED = re.compile(rb"\[ *\d+\.\d+\] (.*)")
_TIME = re.compile(r"^\[ *\d+\.\d+\] ?")
_PANIC = re.compile(rb"Kernel panic - not syncing[^\r\n]*")


@dataclass(frozen=True, slots=True)
class Report:
    """A fault that the kernel reported, and what it logged of it."""

    line: str
    trace: tuple[str, ...]


TRACE_LINES = 60
LONGEST_LINE = 4096


def first_report(records: Iterable[KernelRecord]) -> Report | None:
    """The first fault in records of one case, with what followed it; None where there is none."""
    return report_in([record.text for record in records])


def console_report(console: bytes) -> Report | None:
    """As :func:`first_report`, of what a kernel printed on its console."""
    lines = console.decode("utf-8", "replace").splitlines()
    return report_in([_TIME.sub("", line) for line in lines])


def report_in(texts: Sequence[str]) -> Report | None:
    """As :func:`first_report`, of lines without times."""
    at = next((i for i, text in enumerate(texts) if _REPORT.search(text)), None)
    return None if at is None else Report(texts[at], tuple(texts[at : at + TRACE_LINES]))


def missed(records: Iterable[KernelRecord], after: int | None) -> int:
    """How many records were overwritten before they were read; ``after`` is the last one known."""
    lost = 0
    for record in records:
        if after is not None and record.sequence > after + 1:
            lost += record.sequence - after - 1
        after = record.sequence
    return lost


def panic_line(console: bytes) -> str:
    """The line with which a kernel says on its console that it ends; empty where it does not."""
    found = _PANIC.search(console)
    return "" if found is None else found.group().decode("utf-8", "replace").strip()


class ConsoleReports:
    """Finds the first fault that a kernel reports on a console which it shares with a guest."""

    def __init__(self) -> None:
        self.first = ""
        """Its line without the time; empty for none."""
        self.trace: list[str] = []
        """It, and what followed."""
        self._partial = b""

    def feed(self, data: bytes) -> None:
        """Take in what was printed, in pieces of any size."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-LONGEST_LINE:]
        for line in lines if len(self.trace) < TRACE_LINES else ():
            if self.first and (logged := _LOGGED.search(line)):
                self.trace.append(logged.group(1).decode("utf-8", "replace").rstrip())
            elif not self.first and (found := _ON_CONSOLE.search(line)):
                self.first = found.group(1).decode("utf-8", "replace").strip()
                self.trace.append(self.first)
