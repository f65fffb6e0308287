"""What must follow each fault: the outcome of the hop, and what QEMU says of it. Pure.

Which strategies and transports a fault goes with is :mod:`matrix.scenario.compatibility`'s.
Sources: QEMU's migration code, its own tests (tests/qtest/migration), and what 7.2, 10.0 and 11.1
were seen to do; ``docs/migration-faults.md`` has the table as observed.
"""

from dataclasses import dataclass

from matrix.migrating import Fault, HopOutcome

COMPLETED = (HopOutcome.COMPLETED,)
FAILED = (HopOutcome.FAILED,)
CANCELLED = (HopOutcome.CANCELLED,)
LOST = (HopOutcome.LOST,)
CANCELLED_UNDER_WAY = (HopOutcome.CANCELLED, HopOutcome.FAILED)
"""7.2's ``migrate_fd_cancel`` shuts the return path down before it says ``cancelling``: a migration
thread or a destination that notices in between calls it a failure (seen once in some 60)."""


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


_REFUSED = r"Connection refused|No such file or directory"
"""connect(2), in the source's error-desc."""
_UNKNOWN_SECTION = r"Unknown (savevm )?section or instance"
"""The destination (``qemu_loadvm_section_start_full`` in migration/savevm.c)."""

RULES: dict[Fault, Rule] = {
    Fault.NO_LISTENER: Rule(FAILED, _REFUSED),
    # QEMU's tests/qtest/migration/precopy-tests.c cancels in every state; in completed there is
    # nothing left to cancel.
    Fault.CANCEL_IN_SETUP: Rule(CANCELLED),
    Fault.CANCEL_IN_ACTIVE: Rule(CANCELLED_UNDER_WAY),
    Fault.CANCEL_IN_PRE_SWITCHOVER: Rule(CANCELLED_UNDER_WAY),
    Fault.CANCEL_IN_COMPLETED: Rule(COMPLETED),
    # The source learns of it from its socket; 7.2 does not always say what it was told.
    Fault.KILL_DESTINATION_IN_SETUP: Rule(FAILED, _REFUSED),
    Fault.KILL_DESTINATION_IN_ACTIVE: Rule(FAILED),
    Fault.KILL_DESTINATION_IN_PRE_SWITCHOVER: Rule(FAILED),
    # Before postcopy the destination has a part of the memory and none of the devices; in postcopy
    # it has the devices and a part of the memory, and pauses until its source comes back.
    Fault.KILL_SOURCE_IN_ACTIVE: Rule(LOST),
    Fault.KILL_SOURCE_IN_POSTCOPY: Rule(LOST),
    # The return path is what tells the source that its destination does not fit.
    Fault.MEMORY_MISMATCH: Rule(FAILED, r"(Size|Length) mismatch"),  # migration/ram.c
    Fault.DEVICE_MISMATCH: Rule(FAILED, _UNKNOWN_SECTION),
    # ppc64 says it of its interrupt controller's section, which has a row per vCPU.
    Fault.VCPU_MISMATCH: Rule(
        FAILED, rf"{_UNKNOWN_SECTION}|error while loading state|Missing section footer"
    ),
    Fault.MACHINE_MISMATCH: Rule(FAILED, r"Machine type received is"),  # migration/savevm.c
    # migration/savevm.c; a channel of multifd (migration/multifd.c) may see it first.
    Fault.UUID_MISMATCH: Rule(FAILED, r"UUID received is|received uuid"),
    # crypto/tlssession.c; whoever is given the wrong thing says it, the other is hung up on.
    Fault.TLS_WRONG_CERTIFICATE: Rule(FAILED, r"hasn't got a known issuer"),
    Fault.TLS_WRONG_HOST: Rule(FAILED, r"does not match the hostname"),
    Fault.TLS_NO_CLIENT_CERTIFICATE: Rule(FAILED, r"No certificate was found"),
    Fault.TLS_WRONG_PSK: Rule(FAILED, r"TLS handshake failed"),
    # docs/interop: yank shuts the sockets down, which fails the migration.
    Fault.STALL_IN_PRECOPY: Rule(FAILED),
    Fault.DROP_IN_PRECOPY: Rule(FAILED),
    # Nobody notices, and the hop is given up: the source is yanked, then told to cancel.
    Fault.CUT_LINK_IN_PRECOPY: Rule(CANCELLED_UNDER_WAY),
    Fault.LOSE_DESTINATION_HOST_IN_PRECOPY: Rule(CANCELLED_UNDER_WAY),
    Fault.CUT_LINK_IN_POSTCOPY: Rule(LOST),
    Fault.LOSE_DESTINATION_HOST_IN_POSTCOPY: Rule(LOST),
    Fault.LOSE_SOURCE_HOST_IN_PRECOPY: Rule(LOST),
    Fault.LOSE_SOURCE_HOST_IN_POSTCOPY: Rule(LOST),
    # As where the QEMU itself is killed; its host runs nothing before its worker is back.
    Fault.KILL_DESTINATION_WORKER_IN_PRECOPY: Rule(FAILED),
    Fault.KILL_DESTINATION_WORKER_IN_POSTCOPY: Rule(LOST),
    Fault.KILL_SOURCE_WORKER_IN_PRECOPY: Rule(LOST),
    Fault.KILL_SOURCE_WORKER_IN_POSTCOPY: Rule(LOST),
    Fault.CUT_LINK_BRIEFLY_IN_PRECOPY: Rule(COMPLETED),
    Fault.CUT_LINK_BRIEFLY_IN_POSTCOPY: Rule(COMPLETED),
    # docs/devel/migration/postcopy.rst, "Recovering from postcopy failure"
    Fault.STALL_IN_POSTCOPY: Rule(COMPLETED),
    Fault.DROP_IN_POSTCOPY: Rule(COMPLETED),
    Fault.PAUSE_IN_POSTCOPY: Rule(COMPLETED),
    Fault.CHANGE_BANDWIDTH: Rule(COMPLETED),
    Fault.CHANGE_DOWNTIME_LIMIT: Rule(COMPLETED),
    # The run state is part of the stream (migration/global_state.c): it arrives paused.
    Fault.PAUSE_SOURCE: Rule(COMPLETED),
    # The latter since 9.0: see FULL in matrix.migration.faults.ending.
    Fault.DISK_FULL: Rule(FAILED, r"No space left on device|failed to truncate"),
    Fault.STOP_DESTINATION: Rule(COMPLETED),
    Fault.NO_CONVERGENCE_THROTTLED: Rule(COMPLETED),
    Fault.NO_CONVERGENCE_DIRTY_LIMITED: Rule(COMPLETED),
    Fault.NO_CONVERGENCE_POSTCOPY: Rule(COMPLETED),
    Fault.NO_CONVERGENCE_CANCELLED: Rule(CANCELLED_UNDER_WAY),
}
