"""What a host can run: plain data, filled by :mod:`matrix.hosts`, read by :mod:`matrix.plan`."""

from dataclasses import dataclass, field
from enum import StrEnum

from matrix.model import Architecture


@dataclass(frozen=True, slots=True)
class Machine:
    """One entry of ``query-machines``."""

    name: str
    alias: str = ""
    cpu_max: int = 1
    is_default: bool = False
    deprecated: bool = False
    default_cpu: str = ""
    properties: str = ""
    """Its properties, as ``NAME=TYPE NAME=TYPE`` with QEMU's own names of types; empty where they
    are not known. Read by :func:`typed`."""


@dataclass(frozen=True, slots=True)
class Binary:
    """One QEMU system emulator, as it describes itself over QMP."""

    qemu: str
    """Name of its installation: ``system``, or NAME of ``--qemu NAME=DIR``."""
    architecture: Architecture
    path: str
    version: tuple[int, int, int]
    version_text: str
    """With the packager's suffix: ``7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)``."""
    accelerators: tuple[str, ...] = ("tcg",)
    """Those built in: ``tcg``, ``kvm``."""
    machines: tuple[Machine, ...] = field(default=(), repr=False)
    """Left out of the repr, which asyncio.run makes of its task's result (Python 3.11's
    ``signal.getsignal``): it was a tenth of ``matrix list``."""
    cpus: tuple[str, ...] = ()
    """Names that ``-cpu`` takes."""
    cpu_properties: tuple[str, ...] = field(default=(), repr=False)
    """The properties of each of ``cpus``, as those of a machine; empty where none are known."""
    devices: tuple[str, ...] = ()
    """Names that ``-device`` takes."""
    migration_capabilities: tuple[str, ...] = ()
    migration_parameters: tuple[str, ...] = ()
    """Names that ``migrate-set-parameters`` takes."""
    migration_modes: tuple[str, ...] = ()
    """Values of its ``mode``: ``normal``, ``cpr-reboot``, …; empty before 8.2."""
    migration_addresses: tuple[str, ...] = ()
    """Kinds of address that ``channels`` of ``migrate`` take: ``socket``, ``file``, …."""
    sandbox: bool = False
    """Whether ``-sandbox`` is built in."""
    exit_with_parent: bool = False
    """Whether ``-run-with exit-with-parent=on`` is known (10.2 and later)."""
    sie: bool | None = None
    """Of s390x: whether its TCG emulates SIE, which KVM needs; None where it did not say."""
    note: str = ""
    """What could not be asked of it and why, in words; empty where it answered everything."""

    def machine(self, name: str) -> Machine | None:
        """The machine of that name or alias, or None."""
        for machine in self.machines:
            if name in (machine.name, machine.alias):
                return machine
        return None

    def properties_of_cpu(self, model: str) -> dict[str, str]:
        """Name → type of a CPU model's properties; empty where they are not known."""
        pairs = dict(zip(self.cpus, self.cpu_properties, strict=False))  # () where none is known
        return typed(pairs.get(model, ""))


def typed(properties: str) -> dict[str, str]:
    """Name → type of properties that were written as ``NAME=TYPE NAME=TYPE``.

    One text for hundreds of them: few are ever looked at, and a text is read from the cache fast.
    """
    return dict(each.split("=", 1) for each in properties.split())


class KvmState(StrEnum):
    """Whether KVM works for one architecture, QEMU binary and CPU model."""

    WORKS = "works"
    """The embedded guests passed under it."""
    BROKEN = "broken"
    """It starts a vCPU but the embedded guests do not pass, or QEMU aborts on it."""
    UNAVAILABLE = "unavailable"
    """There is none: no device, no permission, another architecture, not built in."""


@dataclass(frozen=True, slots=True)
class KvmProof:
    """The outcome of running the embedded guests under KVM, once per CPU model."""

    qemu: str
    architecture: Architecture
    cpu: str
    """CPU model with its properties as given to ``-cpu``; empty for the default."""
    state: KvmState
    reason: str
    guests: tuple[tuple[str, str], ...] = ()
    """(guest, verdict) for each embedded guest that was run."""


class FirmwareDevice(StrEnum):
    """What firmware is mapped into (FirmwareDevice in QEMU's docs/interop/firmware.json)."""

    FLASH = "flash"
    """A pflash chip of its own, and another one for its variables."""
    MEMORY = "memory"
    """Loaded by ``-bios``."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """One UEFI firmware, as its descriptor says (QEMU's docs/interop/firmware.json)."""

    descriptor: str
    """Path of the JSON file that describes it."""
    device: FirmwareDevice
    executable: str
    targets: tuple[tuple[str, tuple[str, ...]], ...]
    """(architecture, glob patterns of the names of machines) that it runs on."""
    executable_format: str = "raw"
    variables: str = ""
    """Template of its variable store, never to be written to; empty where it has none."""
    variables_format: str = "raw"
    combined: bool = False
    """The executable's file holds the variables too (mode ``combined``)."""
    features: tuple[str, ...] = ()
    """``secure-boot``, ``enrolled-keys``, ``requires-smm``, ``verbose-static``, …"""


@dataclass(frozen=True, slots=True)
class Host:
    """The machine itself."""

    architecture: str
    """``uname -m``."""
    kernel: str
    """``uname -r``."""
    cpus: int
    memory: int
    """Bytes available to guests."""
    cpu_vendor: str = ""
    cpu_model: str = ""
    kvm_device: str = ""
    """Empty where /dev/kvm can be opened, else why not."""
    kvm_modules: tuple[str, ...] = ()
    """KVM modules of the kernel that are loaded or built in: ``kvm``, ``kvm_intel``."""
    kvm_dirty_ring: bool = False
    """Whether KVM tells of dirtied pages in rings (KVM_CAP_DIRTY_LOG_RING, …_ACQ_REL)."""
    userfaultfd: str = ""
    """Empty where page faults of the kernel can be handled in user space, as postcopy does; else
    why not."""
    huge_page_size: int = 0
    """Bytes of a huge page of the default size; 0 where the kernel has none."""
    huge_pages_free: int = 0
    """How many of them nobody has reserved."""
    memory_limit: int | None = None
    """Bytes that control groups let this program and its guests take in all; None: no limit."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that a plan needs to know of a host."""

    host: Host
    binaries: tuple[Binary, ...] = ()
    missing: tuple[tuple[str, Architecture, str], ...] = ()
    """(qemu, architecture, why there is no such binary)."""
    broken: tuple[tuple[str, Architecture, str], ...] = ()
    """(qemu, architecture, why the binary that is there cannot be asked)."""
    proofs: tuple[KvmProof, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    """(path, first line) of the host's files that tests ask for (``check = PATH=VALUE``)."""
    firmware: tuple[Firmware, ...] = ()
    """UEFI firmware that is installed, in the order of preference."""
    firmware_problems: tuple[str, ...] = ()
    """Descriptors of firmware that cannot be used, each with the reason."""
    firmware_proofs: tuple[KvmProof, ...] = ()
    """Whether KVM runs such firmware, at most once per emulator: for cases that need it, on top of
    ``proofs``."""
    kvmtool: str = ""
    """Path of kvmtool's ``lkvm``, empty where it is not installed."""

    def binary(self, qemu: str, architecture: Architecture) -> Binary | None:
        """The emulator of that installation for that architecture, or None."""
        for binary in self.binaries:
            if (binary.qemu, binary.architecture) == (qemu, architecture):
                return binary
        return None

    def why_missing(self, qemu: str, architecture: Architecture) -> str:
        """Why :meth:`binary` has none, in words."""
        for name, arch, why in (*self.missing, *self.broken):
            if (name, arch) == (qemu, architecture):
                return why
        return f"no QEMU installation named {qemu!r} (see --qemu NAME=DIR)"

    def why_broken(self, qemu: str, architecture: Architecture) -> str:
        """What is wrong with the binary that is there; empty where that is nothing, or there is
        none."""
        found = (why for name, arch, why in self.broken if (name, arch) == (qemu, architecture))
        return next(found, "")

    def proof(self, qemu: str, architecture: Architecture, cpu: str) -> KvmProof | None:
        """What is known of KVM for that CPU model, or None where it was not tried."""
        for proof in self.proofs:
            if (proof.qemu, proof.architecture, proof.cpu) == (qemu, architecture, cpu):
                return proof
        return None

    def firmware_proof(self, qemu: str, architecture: Architecture) -> KvmProof | None:
        """What is known of UEFI firmware under KVM, or None where it was not tried."""
        for proof in self.firmware_proofs:
            if (proof.qemu, proof.architecture) == (qemu, architecture):
                return proof
        return None

    def file(self, path: str) -> str | None:
        """What the host's file holds, or None where it could not be read."""
        for name, content in self.files:
            if name == path:
                return content
        return None
