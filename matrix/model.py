"""The vocabulary: enums and frozen dataclasses that every other module speaks in. This half says
what is run; :mod:`matrix.verdicts` says what it came to.

Nothing here does I/O, and everything here is plain data that survives a round trip through JSON
(``pydantic.TypeAdapter`` does it), because cases and results are journalled, resumed, and sent to
other hosts. Times are seconds (float), sizes are bytes (int), unless a name says otherwise.
"""

from dataclasses import dataclass, field, fields
from enum import StrEnum

from matrix.capabilities import Need
from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.verdicts import SkipCause, Verdict
from matrix.versions import VersionRange


class Architecture(StrEnum):
    """Guest architectures, named as QEMU names its targets (``qemu-system-NAME``).

    ``ppc64`` runs on pseries, in either byte order; ``mips64el`` runs on malta.
    """

    X86_64 = "x86_64"
    I386 = "i386"
    AARCH64 = "aarch64"
    ARM = "arm"
    PPC64 = "ppc64"
    S390X = "s390x"
    RISCV64 = "riscv64"
    RISCV32 = "riscv32"
    MIPS64EL = "mips64el"
    LOONGARCH64 = "loongarch64"


ARCHITECTURE_ALIASES: dict[str, Architecture] = {
    "amd64": Architecture.X86_64,
    "x86-64": Architecture.X86_64,
    "i686": Architecture.I386,
    "arm64": Architecture.AARCH64,
    "armhf": Architecture.ARM,
    "armv7l": Architecture.ARM,
    "ppc64le": Architecture.PPC64,
    "ppc64el": Architecture.PPC64,
    "riscv": Architecture.RISCV64,
    "mips64": Architecture.MIPS64EL,
    "loong64": Architecture.LOONGARCH64,
}
"""Other names that users type (Debian's, the kernel's, ``uname -m``)."""

AMBIGUOUS_ARCHITECTURES: dict[str, tuple[Architecture, ...]] = {
    "x86": (Architecture.I386, Architecture.X86_64),
}
"""Names that mean one architecture to some users and another one to others: none is chosen."""


class Accelerator(StrEnum):
    """QEMU's accelerators; ``auto`` is KVM where it is proven to work, else TCG."""

    AUTO = "auto"
    KVM = "kvm"
    TCG = "tcg"


class AcceleratorLabel(StrEnum):
    """What a case really runs under, as plans, records, reports and known failures call it: KVM in
    a virtual host never mixes with that of a machine."""

    KVM = "kvm"
    VIRTUAL_KVM = "kvm (virtual)"
    TCG = "tcg"


class MemoryBackend(StrEnum):
    """What a guest's memory is made of (QEMU's objects of that name)."""

    RAM = "ram"
    """``memory-backend-ram``: anonymous memory, as QEMU takes without being told."""
    MEMFD = "memfd"
    """``memory-backend-memfd``, shared: memory that other processes can map."""
    HUGEPAGES = "hugepages"
    """``memory-backend-memfd`` out of the host's huge pages."""
    NUMA = "numa"
    """Two NUMA nodes, with half of the memory and of the vCPUs each."""


class KvmMode(StrEnum):
    """How KVM runs on aarch64 (``kvm-arm.mode=`` of Linux)."""

    VHE = "vhe"
    NVHE = "nvhe"
    PROTECTED = "protected"
    NESTED = "nested"


class HostDevice(StrEnum):
    """A device of a virtual KVM host that its guests are given by VFIO; QEMU's name of it."""

    EDU = "edu"
    VIRTIO_BLK = "virtio-blk"


class HostIommu(StrEnum):
    """What is between a virtual KVM host's memory and its devices; QEMU's name of it."""

    SMMUV3 = "smmuv3"
    INTEL = "intel-iommu"
    AMD = "amd-iommu"
    RISCV = "riscv-iommu-pci"


class ExitChannel(StrEnum):
    """Where a guest's verdict comes from (kvm-unit-tests' way of ending, per architecture)."""

    QEMU_EXIT = "qemu-exit"
    """QEMU's exit status is ``(code << 1) | 1``: isa-debug-exit (x86), testdev chardev (Arm)."""
    CONSOLE = "console"
    """The first ``EXIT: STATUS=n`` line on the console, n encoded as above."""
    STATUS = "status"
    """The test is the program itself: its own exit status, and both of its streams are its
    output."""


class Target(StrEnum):
    """What runs the tests of a build."""

    QEMU = "qemu"
    KVMTOOL = "kvmtool"
    PROGRAM = "program"
    """Nothing: they are programs that run on a host, not in a guest of ours."""


class BootFirmware(StrEnum):
    """What starts the images of a build."""

    DEFAULT = "default"
    """QEMU, with the machine's own firmware where it has any."""
    UEFI = "uefi"
    """UEFI firmware: the build was configured with ``--enable-efi``."""


class Endian(StrEnum):
    """The byte order of a build's guests."""

    LITTLE = "little"
    BIG = "big"


@dataclass(frozen=True, slots=True)
class Build:
    """One suite build for one architecture.

    ``directory`` is absolute; ``images`` is where the images lie; ``firmware`` is an absolute path
    or empty for the machine's own.
    """

    architecture: Architecture
    directory: str
    images: str
    builtin: bool = False
    target: Target = Target.QEMU
    firmware: str = ""
    default_cpu: str = ""
    target_cpu: str = ""
    """CPU that the build was configured for (TARGET_CPU), used under every accelerator."""
    efi: bool = False
    efi_direct: bool = False
    """EFI images that QEMU starts with ``-kernel`` (EFI_DIRECT=y)."""
    revision: str = ""
    max_smp: int = 8
    """vCPUs that ``$MAX_SMP`` stood for when its tests were read."""
    addr2line: str = ""
    """Program of the build's toolchain that resolves addresses (ADDR2LINE), empty for unknown."""
    endian: Endian = Endian.LITTLE
    own: tuple[str, ...] = ()
    """What only the kind of its suite knows of it, in words of its own."""
    files: tuple[tuple[str, str], ...] = ()
    """Further files that its cases need, absolute, by names that its kind gives them."""

    @property
    def boot_firmware(self) -> BootFirmware:
        """What starts its images."""
        return BootFirmware.UEFI if self.efi else BootFirmware.DEFAULT


@dataclass(frozen=True, slots=True)
class Test:
    """One named entry of a suite, values evaluated, ``image`` absolute."""

    __test__ = False  # not a pytest class

    name: str
    image: str
    arguments: str = ""
    smp: int = 1
    topology: str = ""
    """What follows the count in ``smp = 8,threads=4``: further properties of ``-smp``."""
    qemu_params: tuple[str, ...] = ()
    """Split into words as the shell would."""
    groups: tuple[str, ...] = ()
    machine: str = ""
    accelerator: str = ""
    """The only one that the test is for; empty for any."""
    accelerator_properties: str = ""
    """``thread=single``: what follows it on the command line."""
    checks: tuple[tuple[str, str], ...] = ()
    """Files of the host that must hold exactly that value, else skip."""
    needs: tuple[Need, ...] = ()
    """Capabilities that the host must have, beside CPUs and memory; else skip."""
    memory: int = 0
    """Bytes that a program takes of its host; 0 for what is usual, and for guests."""
    timeout: float | None = None
    """Seconds; None for the default of the scenario."""
    unsupported: str = ""
    """A reason known from the suite's configuration why the test cannot run, else empty."""
    kvmtool_params: tuple[str, ...] = ()
    dynamic: bool = False
    """Values came from commands (``date +%s``): evaluate them again right before the run."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One point of the matrix. None: the axis is not given, the suite's or QEMU's default holds.

    Its fields are the axes, in the order in which they are shown. They are listed here and nowhere
    else: :data:`AXIS_NAMES` follows from them, and everything that goes over axes from that.
    """

    arch: Architecture
    accel: Accelerator = Accelerator.AUTO
    qemu: str = "system"
    machine: str | None = None
    cpu: str | None = None
    smp: int | None = None
    memory: int | None = None
    backend: MemoryBackend | None = None
    endian: Endian | None = None
    """Byte order of the guest; None: that of the build, and of the embedded ppc64 guests little."""
    kernel: str | None = None
    """Name of the kernel of the virtual KVM host that the case runs in."""
    mode: KvmMode | None = None
    kernel_parameters: str | None = None
    """Of that kernel's command line, beside what the host has anyhow."""
    module_parameters: str | None = None
    """Of that kernel's modules: ``module.parameter=value``, separated by spaces, sorted."""
    host: str | None = None
    """Name or tag of the host that the case runs on, or :data:`EACH_HOST`."""
    strategy: Strategy | None = None
    transport: Transport | None = None
    fault: Fault | None = None
    destination: str | None = None
    """Name of the QEMU installation that the guest is migrated to."""

    def axes(self) -> dict[str, str | int]:
        """The axes that are given, in the order in which they are shown."""
        given = {name: getattr(self, name) for name in AXIS_NAMES}
        return {name: value for name, value in given.items() if value is not None}


AXIS_NAMES = tuple(axis.name for axis in fields(Variant))
"""Every axis."""
VIRTUAL_HOST_AXES = ("kernel", "mode", "kernel_parameters", "module_parameters")
"""Those that say which virtual KVM host a case runs in."""


EACH_HOST = "each"
"""The value of the axis ``host`` that stands for every host of the run."""


class OnStall(StrEnum):
    """What is done with a guest that stalled, before its QEMU is ended."""

    END = "end"
    """Nothing but to look at it."""
    DUMP = "dump"
    """Its memory is kept, for gdb."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a scenario wants its cases run. Seconds; ``timeout`` is the default for tests that
    name none, ``forced_timeout`` overrides every test's own."""

    timeout: float = 90.0
    stall: float = 20.0
    repeat: int = 1
    forced_timeout: float | None = None
    retries: int = 0
    """How often a case that did not pass is tried again; one that then passes is flaky."""
    until_fail: bool = False
    """Whether repeats end with the first one that does not pass."""
    alone: bool = False
    """Whether nothing else of the run runs on its host meanwhile."""
    assist: bool = True
    """Whether QEMU may be helped to translate faster, which its guest does not see."""
    require: str = ""
    """How many of the scenario's cases have to run, as ``20`` or ``80%``; empty for any number."""
    fail_on_skip: tuple[str, ...] = ()
    """Patterns of causes and ids: no case of the scenario may be skipped so."""
    on_stall: OnStall = OnStall.END
    spread: bool = False
    """Whether the attempts of a case take turns on the hosts that can run it."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One known failure: which cases have it, under which conditions, how they fail, and why.

    Each of the conditions holds where it is empty or where one of its values is the case's or the
    host's.
    """

    place: str
    """``FILE:LINE``, where it is written."""
    reason: str
    cases: tuple[str, ...]
    """Patterns (:mod:`fnmatch`) of tests' names; one with a ``.`` may be of a whole case id."""
    arch: tuple[Architecture, ...] = ()
    accel: tuple[AcceleratorLabel, ...] = ()
    """What the case really runs under."""
    qemu: tuple[VersionRange, ...] = ()
    host_kernel: tuple[VersionRange, ...] = ()
    cpu_vendor: tuple[str, ...] = ()
    firmware: tuple[BootFirmware, ...] = ()
    endian: tuple[Endian, ...] = ()
    verdicts: tuple[Verdict, ...] = (Verdict.FAIL,)
    """With ``pass`` among them it fails only sometimes, and a pass is none that is unexpected."""
    subtests: tuple[str, ...] = ()
    """Patterns of the names of subtests: only their failures are known. Empty: all are."""
    seen: tuple[str, ...] = ()
    """Patterns of what reasons of failures have in them: only such are known. Empty: all are."""
    hops: tuple[str, ...] = ()
    """Patterns of the reasons of bad hops: only they are known, and nothing of the guest's own."""
    known_limit: float | None = None
    """Seconds that are enough to see that a case times out as it is known to."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test in one variant. ``id`` is unique in a run, stable, and independent of the host."""

    id: str
    scenario: str
    suite: str
    test: Test
    variant: Variant
    build: Build
    settings: RunSettings = field(default_factory=RunSettings)
    excluded: str = ""
    """A reason why the scenario itself skips the case (nodefault group, no build), else empty."""
    excluded_as: SkipCause = SkipCause.SCENARIO
    """What kind of reason that is."""
    expected: tuple[Expectation, ...] = ()
    """Known failures that its name and architecture match; the host decides on the rest."""
    migration: Migration | None = None
    """Present: the guest is migrated while the test runs."""

    @property
    def timeout(self) -> float:
        """Seconds that the guest may take."""
        if self.settings.forced_timeout is not None:
            return self.settings.forced_timeout
        return self.test.timeout if self.test.timeout is not None else self.settings.timeout


@dataclass(frozen=True, slots=True)
class Launch:
    """What :mod:`matrix.vm` needs to start one QEMU, worked out by :mod:`matrix.plan`."""

    argv: tuple[str, ...]
    """The whole command line as a user would type it. The monitor and ``-S`` are not in it:
    they are added by :mod:`matrix.vm`, and nothing else is."""
    channel: ExitChannel
    environment: tuple[tuple[str, str], ...] = ()
    """Variables added to QEMU's environment."""
    program: str = "QEMU"
    """What is started, in words."""
    monitor: bool = True
    """Whether it speaks QMP; a program that does not (kvmtool) runs its guest at once."""
