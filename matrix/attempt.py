"""What one execution of a case leaves: how its QEMU ended, what its guest said, what it came to.

As :mod:`matrix.model`, whose vocabulary it continues: no I/O, plain data that survives a round trip
through JSON.
"""

from dataclasses import dataclass
from enum import StrEnum
from signal import Signals

from matrix.migrating import MigrationSummary
from matrix.verdicts import SkipCause, Subtest, SubtestVerdict, Verdict


class Ending(StrEnum):
    """How a QEMU process came to its end, as seen from outside."""

    EXITED = "exited"
    """By itself, with ``exit_status``."""
    KILLED = "killed"
    """By a signal that was not ours (``signal``): QEMU aborted, or someone killed it."""
    REFUSED = "refused"
    """QEMU exited before its guest was started: it does not take this configuration."""
    INTERNAL_ERROR = "internal-error"
    """QEMU's run state ``internal-error``: KVM gave the vCPU up."""
    TIMEOUT = "timeout"
    STALL = "stall"
    INTERRUPTED = "interrupted"
    """By us, because the user said so."""
    ERROR = "error"
    """The host or the orchestrator failed: ``reason`` says how."""


class Assist(StrEnum):
    """What is done to a guest that TCG runs and that works long and silently: QEMU flushes its
    table of translated addresses, which then grows (:mod:`matrix.vm.tlb`)."""

    CALC_DIRTY_RATE = "calc-dirty-rate"
    """Its dirty rate is measured while it runs."""
    MIGRATE_TO_NOBODY = "migrate-to-nobody"
    """It is stopped, begins to be migrated to /dev/null, and goes on: QEMU before 8.2."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of one QEMU process after its end; the verdict is worked out from it."""

    ending: Ending
    seconds: float
    exit_status: int | None = None
    signal: int | None = None
    panicked: bool = False
    """QEMU raised GUEST_PANICKED."""
    shutdown_reason: str = ""
    """``reason`` of QEMU's SHUTDOWN event (``guest-shutdown``, ``guest-reset``, …), else empty."""
    kvm_enabled: bool | None = None
    """What ``query-kvm`` said before the guest was started; None where it was not asked."""
    stderr_tail: tuple[str, ...] = ()
    """The last lines of QEMU's stderr."""
    last_line: str = ""
    """The guest's last console line."""
    monitor_broken: str = ""
    """How QEMU's monitor broke the protocol, in words; empty where it kept to it."""
    doing: str = ""
    """Of a hung guest: what it was last doing (program counters of its vCPUs), in words."""
    reason: str = ""
    assists: tuple[tuple[Assist, int], ...] = ()
    """What was done to the guest, and how often."""


def is_signal(number: int) -> bool:
    """Whether there is a signal of that number."""
    return any(number == signal for signal in Signals)


def signal_name(number: int) -> str:
    """``SIGKILL`` of 9."""
    return Signals(number).name if is_signal(number) else f"signal {number}"


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a guest's console said, parsed."""

    subtests: tuple[Subtest, ...] = ()
    """In order; bounded, see ``dropped``."""
    counts: tuple[tuple[SubtestVerdict, int], ...] = ()
    """How many of each, also of those dropped."""
    dropped: int = 0
    status: int | None = None
    """The first ``EXIT: STATUS=n``, as printed (encoded), None where there is none."""
    summary: str = ""
    """The ``SUMMARY:`` line without its prefix."""
    notes: tuple[str, ...] = ()
    """Lines that explain a failure: unhandled exceptions, stacks, abort."""
    metrics: tuple[tuple[str, float, str], ...] = ()
    """Named numbers that the guest printed, with their unit."""


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What became of a guest that is migrated, and of its hops."""

    outcome: Outcome
    """Of the last QEMU, as of a guest that was never migrated."""
    summary: MigrationSummary
    lost: str = ""
    """Why nobody runs the guest any more, where it was lost in a hop."""
    lost_as_expected: bool = False
    """The fault that was injected had to lose it."""
    bad: tuple[str, ...] = ()
    """Hops that did not end as expected: ``hop N (…): why``, the first few."""
    refused_by: str = ""
    """The QEMU that ``outcome`` is of, where that is a destination that refused to start."""


@dataclass(frozen=True, slots=True)
class Reused:
    """Where a result comes from that was not worked out anew."""

    run: str
    """The run that really ran the case: its directory, relative to that of the run that has this,
    or absolute where no relative path leads there."""
    started: str
    """When that run was started: UTC, ISO 8601."""
    seconds: float
    """What the case took there."""
    artifacts: str = ""
    """The case's folder, relative to that run's directory; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a case (cases repeated N times have N)."""

    number: int
    """From 1."""
    verdict: Verdict
    reason: str
    seconds: float
    accelerator: str = ""
    """``kvm`` or ``tcg``; empty for a skip."""
    accelerator_reason: str = ""
    subtests: tuple[Subtest, ...] = ()
    subtest_counts: tuple[tuple[SubtestVerdict, int], ...] = ()
    subtests_dropped: int = 0
    metrics: tuple[tuple[str, float, str], ...] = ()
    command: str = ""
    """One line for a shell that repeats it: the path of its ``command.sh``, or empty."""
    artifacts: str = ""
    """Folder, relative to the run directory; empty where there is none."""
    observed: Verdict | None = None
    """What it came to before known failures were applied; None where that is ``verdict``."""
    migration: MigrationSummary | None = None
    """What its hops came to, where its guest was migrated."""
    by_subtests: bool = False
    """It failed by the failures of ``subtests``, which are all there, and by nothing else."""
    assists: tuple[tuple[Assist, int], ...] = ()
    """What was done to its guest so that QEMU works faster, and how often; empty: it was left
    alone."""
    skip_cause: SkipCause | None = None
    """Of a skip."""
    host: str = ""
    """The name of the host that it ran on; empty in runs of versions that knew of one only."""
    gang: tuple[str, ...] = ()
    """The other hosts that its guest went to."""
    blamed: str = ""
    """Of an error: the host that is known to have ended it; empty: ``host``, or one of several."""
    inputs: tuple[tuple[str, str], ...] = ()
    """What it follows from: name and digest of each input (:mod:`matrix.plan.inputs`); empty where
    not all of it is known."""
    reused: Reused | None = None
    """It was not made here: everything else is as that run has it, but for its time and folder."""
    not_reused: str = ""
    """Why it was made although results were to be reused, in words."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """All that it ran on."""
        return (self.host, *self.gang)

    @property
    def failures(self) -> int:
        """How many of its subtests failed, also of those dropped."""
        return sum(count for verdict, count in self.subtest_counts if verdict.failed)
