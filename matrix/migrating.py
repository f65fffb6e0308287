"""The vocabulary of live migration: what a case asks for, and what a hop came to.

As :mod:`matrix.model`, which it is a part of: no I/O, plain data that survives a round trip through
JSON. Times are seconds (float), sizes are bytes (int), rates are per second, unless a name says
otherwise; QEMU's milliseconds are converted where they are read.
"""

import zlib
from dataclasses import dataclass, field
from enum import StrEnum

NEWEST_COMMON = "newest-common"
"""In place of a machine: the newest versioned type of its family that all QEMUs have."""


OTHER_HOST = "other"
"""In place of a host: any but the one that the guest is on."""


class MigrationMode(StrEnum):
    """Who decides when a guest is migrated."""

    COOPERATIVE = "cooperative"
    """The guest, by kvm-unit-tests' protocol on its console."""
    ONCE = "once"
    """We: one hop, while the test runs."""
    CONTINUOUS = "continuous"
    """We: hop after hop until the test ends, or as many or as long as asked for."""


class Strategy(StrEnum):
    """How the guest's state is carried over, by QEMU's names for its capabilities."""

    PRECOPY = "precopy"
    POSTCOPY = "postcopy"
    POSTCOPY_PREEMPT = "postcopy-preempt"
    MULTIFD = "multifd"
    XBZRLE = "xbzrle"
    AUTO_CONVERGE = "auto-converge"
    DIRTY_LIMIT = "dirty-limit"
    MAPPED_RAM = "mapped-ram"
    FILE = "file"
    BACKGROUND_SNAPSHOT = "background-snapshot"
    CPR_REBOOT = "cpr-reboot"
    CPR_TRANSFER = "cpr-transfer"

    @property
    def through_file(self) -> bool:
        """Whether the state goes into a file, which the destination reads once it is complete."""
        return self in (
            Strategy.MAPPED_RAM,
            Strategy.FILE,
            Strategy.BACKGROUND_SNAPSHOT,
            Strategy.CPR_REBOOT,
        )


class Transport(StrEnum):
    """What the migration stream goes through."""

    UNIX = "unix"
    TCP = "tcp"
    FD = "fd"
    EXEC = "exec"
    TLS_PSK = "tcp+tls-psk"
    TLS_X509 = "tcp+tls-x509"

    @property
    def network(self) -> bool:
        """Whether it is a TCP connection, which a proxy can stall or drop."""
        return self in (Transport.TCP, Transport.TLS_PSK, Transport.TLS_X509)

    @property
    def between_hosts(self) -> bool:
        """Whether it reaches another host. Of a fleet's hosts each has its own key, and no two have
        one in common."""
        return self in (Transport.TCP, Transport.TLS_X509)


class Fault(StrEnum):
    """What is done to a hop on purpose; what must follow stands in :mod:`matrix.migration`."""

    NO_LISTENER = "no-listener"
    CANCEL_IN_SETUP = "cancel-in-setup"
    CANCEL_IN_ACTIVE = "cancel-in-active"
    CANCEL_IN_PRE_SWITCHOVER = "cancel-in-pre-switchover"
    CANCEL_IN_COMPLETED = "cancel-in-completed"
    KILL_DESTINATION_IN_SETUP = "kill-destination-in-setup"
    KILL_DESTINATION_IN_ACTIVE = "kill-destination-in-active"
    KILL_DESTINATION_IN_PRE_SWITCHOVER = "kill-destination-in-pre-switchover"
    KILL_SOURCE_IN_ACTIVE = "kill-source-in-active"
    KILL_SOURCE_IN_POSTCOPY = "kill-source-in-postcopy"
    MEMORY_MISMATCH = "memory-mismatch"
    DEVICE_MISMATCH = "device-mismatch"
    VCPU_MISMATCH = "vcpu-mismatch"
    MACHINE_MISMATCH = "machine-mismatch"
    UUID_MISMATCH = "uuid-mismatch"
    TLS_WRONG_CERTIFICATE = "tls-wrong-certificate"
    TLS_WRONG_HOST = "tls-wrong-host"
    TLS_NO_CLIENT_CERTIFICATE = "tls-no-client-certificate"
    TLS_WRONG_PSK = "tls-wrong-psk"
    STALL_IN_PRECOPY = "stall-in-precopy"
    DROP_IN_PRECOPY = "drop-in-precopy"
    STALL_IN_POSTCOPY = "stall-in-postcopy"
    DROP_IN_POSTCOPY = "drop-in-postcopy"
    PAUSE_IN_POSTCOPY = "pause-in-postcopy"
    """``migrate-pause``, ``migrate-recover`` and resume, twice."""
    CUT_LINK_IN_PRECOPY = "cut-link-in-precopy"
    """Between hosts, as the eleven below: nothing passes any more, and nobody is told."""
    CUT_LINK_IN_POSTCOPY = "cut-link-in-postcopy"
    CUT_LINK_BRIEFLY_IN_PRECOPY = "cut-link-briefly-in-precopy"
    """For 3 s."""
    CUT_LINK_BRIEFLY_IN_POSTCOPY = "cut-link-briefly-in-postcopy"
    LOSE_DESTINATION_HOST_IN_PRECOPY = "lose-destination-host-in-precopy"
    """Its QEMU is killed, and the other one hears nothing of that."""
    LOSE_DESTINATION_HOST_IN_POSTCOPY = "lose-destination-host-in-postcopy"
    LOSE_SOURCE_HOST_IN_PRECOPY = "lose-source-host-in-precopy"
    LOSE_SOURCE_HOST_IN_POSTCOPY = "lose-source-host-in-postcopy"
    KILL_DESTINATION_WORKER_IN_PRECOPY = "kill-destination-worker-in-precopy"
    """``matrix worker`` gets SIGKILL, and its QEMU with it. Its host runs nothing else then."""
    KILL_DESTINATION_WORKER_IN_POSTCOPY = "kill-destination-worker-in-postcopy"
    KILL_SOURCE_WORKER_IN_PRECOPY = "kill-source-worker-in-precopy"
    KILL_SOURCE_WORKER_IN_POSTCOPY = "kill-source-worker-in-postcopy"
    CHANGE_BANDWIDTH = "change-bandwidth"
    CHANGE_DOWNTIME_LIMIT = "change-downtime-limit"
    PAUSE_SOURCE = "pause-source"
    DISK_FULL = "disk-full"
    STOP_DESTINATION = "stop-destination"
    """SIGSTOP, and SIGCONT after a while."""
    NO_CONVERGENCE_THROTTLED = "no-convergence-throttled"
    """A guest that dirties faster than the link, ended by auto-converge."""
    NO_CONVERGENCE_DIRTY_LIMITED = "no-convergence-dirty-limited"
    NO_CONVERGENCE_POSTCOPY = "no-convergence-postcopy"
    NO_CONVERGENCE_CANCELLED = "no-convergence-cancelled"


@dataclass(frozen=True, slots=True)
class Limits:
    """What hops may take, over all hops of a case; None where the scenario sets no limit."""

    downtime_p99: float | None = None
    downtime_max: float | None = None
    """As QEMU's source says."""
    blackout_max: float | None = None
    """As the guest saw it: the largest gap on its own clock."""
    total_time: float | None = None
    """Of each hop."""
    hops_per_minute: float | None = None
    """At least."""
    clock_jump: float | None = None
    """How far the guest's clock may be from the host's over a hop."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What a scenario's ``migration:`` asks for. Each hop draws from the pools; an axis of the
    same name in the variant (:class:`matrix.model.Variant`) takes a pool's place."""

    mode: MigrationMode = MigrationMode.ONCE
    strategies: tuple[Strategy, ...] = (Strategy.PRECOPY,)
    transports: tuple[Transport, ...] = (Transport.UNIX,)
    faults: tuple[Fault, ...] = ()
    destinations: tuple[str, ...] = ()
    """Names of QEMU installations; empty: the variant's own."""
    host: str = ""
    """Where each hop goes: :data:`OTHER_HOST`, or a host by its name, tag or architecture; empty:
    it stays on the host."""
    hosts: int = 2
    """Between how many it goes, where it does."""
    machine: str = ""
    """``newest-common``, or empty for the machine that the case has anyway."""
    parameters: tuple[tuple[str, int | bool | str], ...] = ()
    """QEMU's migration parameters by its names, in QEMU's units (bytes per second, ms, …)."""
    hops: int | None = None
    duration: float | None = None
    pace: float = 0.2
    """Pause between the end of a hop and the begin of the next."""
    explain_downtime: bool = False
    """Have QEMU tell how long each device's state takes to save and to load."""
    limits: Limits = field(default_factory=Limits)


class HopOutcome(StrEnum):
    """How a hop ended."""

    COMPLETED = "completed"
    """The destination runs the guest."""
    FAILED = "failed"
    """The source runs it still, as it must."""
    CANCELLED = "cancelled"
    """As failed, because we cancelled it."""
    LOST = "lost"
    """No one runs it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """``query-migrate`` on the source, at one moment of a hop."""

    at: float
    """Seconds since the hop began."""
    status: str
    remaining: int = 0
    transferred: int = 0
    passes: int = 0
    """``ram.dirty-sync-count``."""
    dirty_rate: int = 0
    """Bytes per second."""
    throughput: float = 0.0
    """Bytes per second (``ram.mbps``)."""
    throttle: int = 0
    """``cpu-throttle-percentage``."""


@dataclass(frozen=True, slots=True)
class HopEvent:
    """One QMP event of either side, or a deed of ours, on the host's clock."""

    at: float
    """Seconds since the hop began."""
    side: str
    """``source``, ``destination`` or ``matrix``."""
    what: str
    """``MIGRATION active``, ``STOP``, ``RESUME``, ``kill``, …"""


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """How long one device's state took in a hop, by QEMU's trace events; None: it does not tell."""

    device: str
    """Name of the section in the stream: ``ram``, ``cpu``, ``0000:00:02.0/virtio-net``, …"""
    instance: int = 0
    save: float | None = None
    """On the source."""
    load: float | None = None
    """On the destination."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One live migration from one QEMU process to the next: a line of ``hops.jsonl``.

    None: QEMU, the host or the guest did not say.
    """

    number: int
    """From 1, over the case."""
    begun: float
    """Unix time."""
    strategy: Strategy
    transport: str
    """A :class:`Transport`, or ``file``."""
    source: str
    """``NAME VERSION`` of the QEMU installation; with `` on HOST`` between hosts."""
    destination: str
    outcome: HopOutcome
    good: bool
    """Whether that is what had to follow, with the guest alive where it had to be."""
    machine: str = ""
    fault: Fault | None = None
    reason: str = ""
    """Why it is not good, or what QEMU said of a failure that had to follow."""
    seconds: float = 0.0
    """From ``migrate`` until the guest ran again for certain, or the hop was given up."""
    total_time: float | None = None
    setup_time: float | None = None
    downtime: float | None = None
    """These three as QEMU's source says."""
    stop_to_resume: float | None = None
    """STOP of the source to RESUME of the destination on the host's clock."""
    clock_bound: float | None = None
    """By how much ``stop_to_resume`` may be off, where the clocks of two hosts told it."""
    blackout: float | None = None
    """Largest gap that the guest saw on its own clock."""
    silence: float | None = None
    """Largest gap between lines of the guest that beats, on the host's clock."""
    clock_jump: float | None = None
    """How much less (negative) or more the guest's clock went forward than the host's."""
    requests: int | None = None
    """Requests to the guest's disk that were answered around the hop, or frames that it received,
    of a guest that proves such a device."""
    in_flight: int | None = None
    """How many of them had not been answered when the guest stopped here and ran on there: those
    over the largest gap that it saw."""
    clock_step: float = 0.0
    """By how much the host's clock was set during the hop; taken off what is measured on it."""
    suspended: float = 0.0
    """How long the host was suspended during the hop, whose times say nothing then of the guest."""
    transferred: int | None = None
    passes: int | None = None
    dirty_rate: int | None = None
    throughput: float | None = None
    throttle: int | None = None
    """The greatest percentage seen."""
    events: tuple[HopEvent, ...] = ()
    samples: tuple[Sample, ...] = ()
    devices: tuple[DeviceTime, ...] = ()
    """In the order of the stream; empty: nobody asked, or the QEMUs do not tell."""
    untraced: str = ""
    """Why ``devices`` were asked for and not told, or by one side only."""


PROOF = "migration-proof"
"""The group of the embedded guests that print INTEGRITY lines and end when they are told to."""
FEWEST = 20
"""Values of which there are percentiles: of fewer p90 would be the greatest or nearly."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """The distribution of one quantity over the hops of a case."""

    name: str
    """``downtime``, ``stop-to-resume``, ``blackout``, ``total-time``, …"""
    unit: str
    count: int
    p50: float
    """The median."""
    p90: float | None
    p99: float | None
    """None, whatever is given, of fewer than :data:`FEWEST` values."""
    max: float
    min: float | None = None
    """None: whoever counted did not keep it."""

    def __post_init__(self) -> None:
        """Drop percentiles that mean nothing, also of files of former versions."""
        if self.count < FEWEST:
            object.__setattr__(self, "p90", None)
            object.__setattr__(self, "p99", None)


@dataclass(frozen=True, slots=True)
class MigrationSummary:
    """What the hops of an attempt came to, also those that ``hops.jsonl`` has folded."""

    hops: int
    completed: int
    as_expected: int
    """Hops with a fault that ended as expected."""
    bad: int
    """Hops that did not."""
    seed: int
    seconds: float
    """Wall time in which the hops were made."""
    statistics: tuple[Statistic, ...] = ()
    broken: tuple[str, ...] = ()
    """Limits that did not hold, each with the hop and the number that broke it."""
    devices: tuple[Statistic, ...] = ()
    """``NAME save`` and ``NAME load`` of each device, over all its instances, where asked for."""
    untraced: tuple[str, ...] = ()
    """Which QEMUs do not tell of devices, in words."""


def seed_of(case_id: str, attempt: int) -> int:
    """What an attempt's hops are drawn from where the user has chosen no seed: always the same."""
    return zlib.crc32(f"{case_id} {attempt}".encode())
