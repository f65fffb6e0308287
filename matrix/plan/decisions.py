"""What a plan consists of: for every case, to run it or to skip it, each with its reason."""

from dataclasses import dataclass

from matrix.model import Accelerator, Case, Expectation


@dataclass(frozen=True, slots=True)
class Run:
    """Run ``case`` with ``accelerator`` (never ``auto``); ``why`` says how that was chosen."""

    case: Case
    accelerator: Accelerator
    why: str
    vcpus: int
    memory: int
    """Bytes that QEMU will take: the guest's memory and QEMU's own."""
    kvm_doubt: str = ""
    """Why KVM failed its proof on this host, where the case runs under it all the same."""
    expected: tuple[Expectation, ...] = ()
    """The case's known failures whose conditions hold on this host."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Do not run ``case``."""

    case: Case
    reason: str


Decision = Run | Skip
