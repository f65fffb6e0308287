"""A scenario once it is read: frozen, validated, with its variants in order."""

from dataclasses import dataclass, field

from matrix.errors import Place
from matrix.migrating import Migration
from matrix.model import (
    EACH_HOST,
    Architecture,
    Build,
    Expectation,
    HostDevice,
    HostIommu,
    KvmMode,
    RunSettings,
    Test,
    Variant,
)
from matrix.scenario.values import AxisValue


@dataclass(frozen=True, slots=True)
class SuiteSelection:
    """Where the tests come from, and which of them. Empty tuples do not restrict."""

    kind: str
    """A name of :data:`matrix.suites.registry.KINDS`."""
    build: str
    """``builtin``, an absolute path in which ``{arch}`` may still stand, or empty: the host's."""
    tests: tuple[str, ...] = ()
    """Patterns (:mod:`fnmatch`) of names."""
    groups: tuple[str, ...] = ()
    """Names; a test is chosen that is in one of them and, where given, matches ``tests``."""
    exclude: tuple[str, ...] = ()
    """Patterns of names."""
    max_smp: int | None = None
    written: str = field(default="", compare=False)
    """``build`` as the file has it, for messages: what variables stand for is not told."""


@dataclass(frozen=True, slots=True)
class SuiteTests:
    """What a suite has for one architecture; ``unavailable`` says why it has nothing, or is empty.

    ``build`` then only needs its architecture and the directory that was looked for.
    """

    build: Build
    tests: tuple[Test, ...] = ()
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of ``include`` or ``exclude``; only an exclude has a reason, or none."""

    values: tuple[tuple[str, AxisValue], ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """The axes with their values in the order written, and what the command line made of them."""

    axes: tuple[tuple[str, tuple[AxisValue, ...]], ...]
    include: tuple[Entry, ...] = ()
    exclude: tuple[Entry, ...] = ()
    overrides: tuple[tuple[str, tuple[AxisValue, ...]], ...] = ()
    """Axes that every variant takes these values of, whatever the file says."""
    architectures: tuple[Architecture, ...] = ()
    """Only these are kept; empty for all."""

    @property
    def names_each_host(self) -> bool:
        """Whether cases are to be run on every host."""
        return EACH_HOST in dict(self.axes).get("host", ())

    def written_architectures(self) -> tuple[Architecture, ...]:
        """Those that the file names, whatever the command line made of them."""
        entries = [dict(entry.values) for entry in self.include]
        written = [*dict(self.axes).get("arch", ()), *(e["arch"] for e in entries if "arch" in e)]
        return tuple(dict.fromkeys(Architecture(str(arch)) for arch in written))


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A variant that the scenario leaves out with a reason: its cases are skipped, visibly."""

    variant: Variant
    reason: str


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """One entry of a file of known failures, and where each of its ``cases`` stands."""

    expectation: Expectation
    places: tuple[Place, ...]
    revision: str = ""
    """Of the suite that its file was made for; a user's may lack some of its tests. Empty: the
    file is for the user's own suite, and a name that is not there is a typo."""


@dataclass(frozen=True, slots=True)
class HostKernel:
    """A kernel of virtual hosts, as a scenario names it."""

    name: str
    """What the axis ``kernel`` calls it."""
    image: str
    """A release of Debian, or an absolute path in which ``{arch}`` may still stand."""
    modules: str
    """As ``image``; empty: all is built in."""
    vmlinux: str
    """As ``image``; empty: where the tree of the image has it."""
    written: tuple[str, str, str]
    """The three as the file has them, for messages: what variables stand for is not told."""
    place: Place


@dataclass(frozen=True, slots=True)
class VirtualHostEntry:
    """Virtual KVM hosts, one for each architecture and kernel."""

    architectures: tuple[Architecture, ...]
    kernels: tuple[HostKernel, ...]
    place: Place
    cpus: int = 1
    memory: int = 0
    """Bytes; 0 for the usual."""
    kvmtool: str = ""
    """Path of an ``lkvm``, in which ``{arch}`` may still stand; empty for none."""
    written_kvmtool: str = ""
    """As the file has it."""
    devices: tuple[HostDevice, ...] = ()
    """For its guests, behind an emulated IOMMU."""
    iommu: HostIommu | None = None
    """That IOMMU; None for the architecture's usual."""
    mode: KvmMode | None = None
    kernel_parameters: str = ""
    module_parameters: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario file. ``variants`` and ``exclusions`` follow from ``matrix``."""

    name: str
    description: str
    suite: SuiteSelection
    matrix: Matrix
    variants: tuple[Variant, ...]
    exclusions: tuple[Exclusion, ...]
    settings: RunSettings
    source: Place
    migration: Migration | None = None
    """Present: guests are migrated while their tests run; axes take the place of its pools."""
    expect: tuple[str, ...] = ()
    """Files of known failures, relative to the scenario file."""
    known: tuple[KnownFailure, ...] = field(default=(), repr=False)
    """What is in those files, in order."""
    hosts: tuple[VirtualHostEntry, ...] = ()
    """Where cases run beside this machine."""
    places: tuple[tuple[str, Place], ...] = field(default=(), compare=False, repr=False)
    """Where values stand that are checked only once the suite and QEMU are known: ``tests[0]`` or
    ``machine=q35`` → place."""
    text: str = field(default="", compare=False, repr=False)
    """The file as it was read, which may be possible only once."""

    def place(self, name: str) -> Place:
        """Where the value of that name stands, or the scenario's own place."""
        return dict(self.places).get(name, self.source)
