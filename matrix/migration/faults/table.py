"""What must follow each fault: the outcome of the hop, and what QEMU says of it. Pure.

Which strategies and transports a fault can be injected into is :mod:`matrix.scenario.sense`'s.
Sources: QEMU's migration code, its own tests (tests/qtest/migration), and what 7.2, 10.0 and 11.1
were seen to do; ``docs/migration-faults.md`` has the table as observed.
"""

from dataclasses import dataclass

from matrix.migrating import Fault, HopOutcome

COMPLETED = (HopOutcome.COMPLETED,)
FAILED = (HopOutcome.FAILED,)
CANCELLED = (HopOutcome.CANCELLED,)
LOST = (HopOutcome.LOST,)


@dataclass(frozen=True, slots=True)
class Rule:
    """What must follow a fault.

    ``completed`` leaves the guest running on the destination alone, ``failed`` and ``cancelled``
    on the source alone, ``lost`` on no one; that this is so is checked of every hop.
    """

    outcomes: tuple[HopOutcome, ...]
    error: str = ""
    """Regular expression that must be found in what QEMU says: the source's ``error-desc``, the
    destination's, or its stderr. Empty where it need not say anything."""
    fresh_parameters: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    """Capabilities that both binaries must have, beside those of the strategy."""

    @property
    def loses_guest(self) -> bool:
        """Whether the guest is lost, and has to be."""
        return HopOutcome.LOST in self.outcomes


RULES: dict[Fault, Rule] = {
    Fault.NO_LISTENER: Rule(FAILED),
    Fault.CANCEL_IN_SETUP: Rule(CANCELLED),
    Fault.CANCEL_IN_ACTIVE: Rule(CANCELLED),
    Fault.CANCEL_IN_PRE_SWITCHOVER: Rule(CANCELLED),
    Fault.CANCEL_IN_COMPLETED: Rule(COMPLETED),
    Fault.KILL_DESTINATION_IN_SETUP: Rule(FAILED),
    Fault.KILL_DESTINATION_IN_ACTIVE: Rule(FAILED),
    Fault.KILL_DESTINATION_IN_PRE_SWITCHOVER: Rule(FAILED),
    Fault.KILL_SOURCE_IN_ACTIVE: Rule(LOST),
    Fault.KILL_SOURCE_IN_POSTCOPY: Rule(LOST),
    Fault.MEMORY_MISMATCH: Rule(FAILED),
    Fault.DEVICE_MISMATCH: Rule(FAILED),
    Fault.VCPU_MISMATCH: Rule(FAILED),
    Fault.MACHINE_MISMATCH: Rule(FAILED),
    Fault.UUID_MISMATCH: Rule(FAILED),
    Fault.TLS_WRONG_CERTIFICATE: Rule(FAILED),
    Fault.TLS_WRONG_HOST: Rule(FAILED),
    Fault.TLS_NO_CLIENT_CERTIFICATE: Rule(FAILED),
    Fault.TLS_WRONG_PSK: Rule(FAILED),
    Fault.STALL_IN_PRECOPY: Rule(FAILED),
    Fault.DROP_IN_PRECOPY: Rule(FAILED),
    Fault.STALL_IN_POSTCOPY: Rule(COMPLETED),
    Fault.DROP_IN_POSTCOPY: Rule(COMPLETED),
    Fault.PAUSE_IN_POSTCOPY: Rule(COMPLETED),
    Fault.CHANGE_BANDWIDTH: Rule(COMPLETED),
    Fault.CHANGE_DOWNTIME_LIMIT: Rule(COMPLETED),
    Fault.PAUSE_SOURCE: Rule(COMPLETED),
    Fault.DISK_FULL: Rule(FAILED),
    Fault.STOP_DESTINATION: Rule(COMPLETED),
    Fault.NO_CONVERGENCE_THROTTLED: Rule(COMPLETED),
    Fault.NO_CONVERGENCE_DIRTY_LIMITED: Rule(COMPLETED),
    Fault.NO_CONVERGENCE_POSTCOPY: Rule(COMPLETED),
    Fault.NO_CONVERGENCE_CANCELLED: Rule(CANCELLED),
}
