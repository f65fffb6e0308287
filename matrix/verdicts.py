"""What cases come to, and their subtests, and why some are skipped: half of the vocabulary.

As :mod:`matrix.model`, which says what is run: no I/O, plain data.
"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a case came to."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    """The guest reported success."""
    FAIL = "fail"
    """The guest reported a failure, or ended without reporting success."""
    SKIP = "skip"
    """It did not run, or skipped itself; its reason says why."""
    XFAIL = "xfail"
    """Known failure that failed as expected."""
    XPASS = "xpass"
    """Known failure that passed."""
    TIMEOUT = "timeout"
    """The guest was still busy when its time ran out."""
    STALL = "stall"
    """The guest is dead: no output, and asleep or in a dead loop."""
    CRASH = "crash"
    """QEMU itself died, or KVM gave the vCPU up."""
    ERROR = "error"
    """The host or the orchestrator failed, not the guest."""
    FLAKY = "flaky"
    """The verdict changed between repeats."""

    @property
    def good(self) -> bool:
        """Whether a run of only such cases exits 0."""
        return self in (Verdict.PASS, Verdict.SKIP, Verdict.XFAIL, Verdict.XPASS)


class SkipCause(StrEnum):
    """Why a case was skipped, for programs; its reason says it in words."""

    SCENARIO = "scenario"
    """The scenario leaves it out with a reason, or asks of it what makes no sense."""
    NODEFAULT = "nodefault"
    """It is in the group ``nodefault``, and nobody asked for it."""
    NO_BUILD = "no-build"
    """There is no build of the suite for the architecture."""
    NO_QEMU = "no-qemu"
    """There is no emulator for the architecture; of builds for kvmtool, no kvmtool."""
    NO_ACCELERATOR = "no-accelerator"
    """It needs KVM, and there is none for the architecture or the CPU model."""
    TEST = "test"
    """The test is for another accelerator or machine than the variant's, or cannot run at all."""
    UNSUPPORTED = "unsupported"
    """Its QEMU lacks the machine, a CPU model, a device, a way to migrate, or the like."""
    HOST = "host"
    """The host lacks firmware, huge pages, or what a test wants of one of its files."""
    REFUSED = "refused"
    """QEMU did not take the configuration when it was started."""
    GUEST = "guest"
    """The guest was run, and skipped itself."""

    @property
    def intended(self) -> bool:
        """Whether the case was not meant to run, on any host."""
        return self in (SkipCause.SCENARIO, SkipCause.NODEFAULT)

    @property
    def loses_coverage(self) -> bool:
        """Whether a case that ran before is lost by what the host no longer has."""
        return self in (SkipCause.NO_BUILD, SkipCause.NO_QEMU, SkipCause.NO_ACCELERATOR)


KNOWABLE = (Verdict.FAIL, Verdict.TIMEOUT, Verdict.STALL, Verdict.CRASH)
"""What a known failure may come to. An error is the host's, and says nothing of the case."""


class SubtestVerdict(StrEnum):
    """The prefixes that a guest puts before a subtest's name, as kvm-unit-tests' report library."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    """The guest reported success."""
    FAIL = "fail"
    """The guest reported a failure, or ended without reporting success."""
    SKIP = "skip"
    """It did not run, or skipped itself; its reason says why."""
    XFAIL = "xfail"
    """``XFAIL:``, the guest expected the failure."""
    XPASS = "xpass"
    """``XPASS:``, the guest expected a failure and it passed: a failure."""
    KFAIL = "kfail"
    """``KFAIL:``, a known failure: not counted as one."""

    @property
    def failed(self) -> bool:
        """Whether the guest counts it as an unexpected failure."""
        return self in (SubtestVerdict.FAIL, SubtestVerdict.XPASS)


@dataclass(frozen=True, slots=True)
class Subtest:
    """One ``PASS:``/``FAIL:``/… line: its name with prefixes, and what follows in words."""

    name: str
    verdict: SubtestVerdict
    message: str = ""
