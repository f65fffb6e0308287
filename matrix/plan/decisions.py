"""What a plan consists of: for every case, to run it, or why it is not run."""

from dataclasses import dataclass, replace

from matrix.model import Accelerator, AcceleratorLabel, Case, Expectation
from matrix.verdicts import SkipCause

LOCAL = "local"
"""The name of the host that the run was started on."""
VIRTUAL = "virtual-"
"""What the names of virtual KVM hosts begin with."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run ``case`` with ``accelerator`` (never ``auto``); ``why`` says how that was chosen.

    Its ``migration`` is what of it is possible: the pools have what the QEMUs and the host can do,
    ``machine`` is a type that all of them have, and ``destinations`` are installations that are
    there (none: the variant's own).
    """

    case: Case
    accelerator: Accelerator
    why: str
    vcpus: int
    memory: int
    """Bytes that QEMU will take, the guest's memory and QEMU's own; of both while one migrates."""
    kvm_doubt: str = ""
    """Why KVM failed its proof on this host, where the case runs under it all the same."""
    expected: tuple[Expectation, ...] = ()
    """The case's known failures whose conditions hold on this host."""
    notes: tuple[str, ...] = ()
    """What of a migration's pools this host lacks, and what else is to be minded, in words."""
    huge_pages: int = 0
    """Bytes in huge pages that QEMU will take, or its QEMUs while the guest migrates."""
    host: str = LOCAL
    """The name of the host that it runs on."""
    limit: float | None = None
    """Seconds after which it is ended because it is known to time out; None: the case's timeout."""
    elsewhere: tuple[tuple[str, str], ...] = ()
    """Other hosts where it would be the same, by name, each with what is ``why`` there."""
    gang: tuple[str, ...] = ()
    """The other hosts that its guest is migrated to."""
    other_gangs: tuple[tuple[str, ...], ...] = ()
    """Hosts between which it would be the same, by name, the source first."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """All that it runs on."""
        return (self.host, *self.gang)

    @property
    def accelerator_label(self) -> AcceleratorLabel:
        """What it really runs under."""
        if self.host.startswith(VIRTUAL):
            return AcceleratorLabel.VIRTUAL_KVM
        return AcceleratorLabel(self.accelerator)

    def between(self, hosts: tuple[str, ...]) -> "Run":
        """The same between hosts of ``other_gangs``."""
        return replace(self, host=hosts[0], gang=hosts[1:])

    def on(self, host: str) -> "Run":
        """The same on one of the hosts of ``elsewhere``."""
        if host == self.host:
            return self
        places = {self.host: self.why, **dict(self.elsewhere)}
        why = places.pop(host)
        return replace(self, host=host, why=why, elsewhere=tuple(places.items()))


@dataclass(frozen=True, slots=True)
class Skip:
    """Do not run ``case``."""

    case: Case
    reason: str
    cause: SkipCause | None = None
    """None in plans of versions that did not tell."""


@dataclass(frozen=True, slots=True)
class Broken:
    """``case`` should run here, and what is there for it does not work: its verdict is an error."""

    case: Case
    reason: str


Decision = Run | Skip | Broken
