"""Plain data to test with: cases, decisions, attempts, and what a host can run.

Everything has a usual value; a test names what it is about. Imported as a module, so that a test
reads ``make.case("boot", cpu="max")``.
"""

from collections.abc import Iterable, Mapping
from typing import TypedDict, Unpack

from matrix.attempt import Assist, Attempt
from matrix.capabilities import Need
from matrix.inventory import Binary, Firmware, Host, Inventory, KvmProof, KvmState, Machine
from matrix.migrating import Fault, Migration, MigrationSummary, Strategy, Transport
from matrix.model import (
    Accelerator,
    Architecture,
    Build,
    Case,
    Endian,
    KvmMode,
    MemoryBackend,
    RunSettings,
    Target,
    Test,
    Variant,
)
from matrix.plan.decisions import Run, Skip
from matrix.results.run_info import QemuFingerprint, RunInfo, ScenarioSource
from matrix.verdicts import SkipCause, Subtest, SubtestVerdict, Verdict

X86 = Architecture.X86_64
ARM64 = Architecture.AARCH64
HOST = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=8 * 2**30)


class Axes(TypedDict, total=False):
    """Those of :class:`Variant` but for the architecture."""

    accel: Accelerator
    qemu: str
    machine: str | None
    cpu: str | None
    smp: int | None
    memory: int | None
    backend: MemoryBackend | None
    endian: Endian | None
    kernel: str | None
    mode: KvmMode | None
    kernel_parameters: str | None
    module_parameters: str | None
    strategy: Strategy | None
    transport: Transport | None
    fault: Fault | None
    destination: str | None


class TestFields(TypedDict, total=False):
    """The fields of :class:`Test` that tests set."""

    arguments: str
    smp: int
    topology: str
    qemu_params: tuple[str, ...]
    groups: tuple[str, ...]
    machine: str
    accelerator: str
    accelerator_properties: str
    checks: tuple[tuple[str, str], ...]
    needs: tuple[Need, ...]
    memory: int
    timeout: float | None
    unsupported: str
    kvmtool_params: tuple[str, ...]


class BuildFields(TypedDict, total=False):
    """The fields of :class:`Build` that tests set."""

    builtin: bool
    target: Target
    firmware: str
    default_cpu: str
    endian: Endian
    efi: bool
    efi_direct: bool
    revision: str


class BinaryFields(TypedDict, total=False):
    """The fields of :class:`Binary` that tests set."""

    qemu: str
    version: tuple[int, int, int]
    machines: tuple[Machine, ...]
    cpus: tuple[str, ...]
    cpu_properties: tuple[str, ...]
    devices: tuple[str, ...]
    migration_capabilities: tuple[str, ...]
    migration_parameters: tuple[str, ...]
    migration_modes: tuple[str, ...]
    migration_addresses: tuple[str, ...]
    sandbox: bool


class InventoryFields(TypedDict, total=False):
    """The fields of :class:`Inventory` that tests set."""

    proofs: tuple[KvmProof, ...]
    firmware: tuple[Firmware, ...]
    firmware_proofs: tuple[KvmProof, ...]
    files: tuple[tuple[str, str], ...]
    missing: tuple[tuple[str, Architecture, str], ...]
    broken: tuple[tuple[str, Architecture, str], ...]


class AttemptFields(TypedDict, total=False):
    """The fields of :class:`Attempt` that tests set and that have no usual value."""

    accelerator_reason: str
    subtests_dropped: int
    metrics: tuple[tuple[str, float, str], ...]
    command: str
    artifacts: str
    migration: MigrationSummary | None
    assists: tuple[tuple[Assist, int], ...]
    skip_cause: SkipCause | None
    host: str


class InfoFields(TypedDict, total=False):
    """The fields of :class:`RunInfo` that tests set."""

    options: Mapping[str, object]
    arguments: tuple[str, ...]
    binaries: tuple[QemuFingerprint, ...]
    proofs: tuple[KvmProof, ...]


def test(  # no test itself: pytest collects no imported module
    name: str = "boot",  # noqa: PT028 - no test itself
    image: str = "/build/guest.flat",  # noqa: PT028 - no test itself
    **fields: Unpack[TestFields],
) -> Test:
    return Test(name, image, **fields)


def build(arch: Architecture = X86, **fields: Unpack[BuildFields]) -> Build:
    return Build(arch, "/build", f"/build/{arch}", **fields)


def case(
    test: Test | str = "boot",
    arch: Architecture | str = X86,
    *,
    scenario: str = "smoke",
    build: Build | None = None,
    case_id: str = "",
    repeat: int = 1,
    settings: RunSettings | None = None,
    excluded: str = "",
    migration: Migration | None = None,
    **axes: Unpack[Axes],
) -> Case:
    """``test`` by its name alone, or whole."""
    variant = Variant(Architecture(arch), **axes)
    if isinstance(test, str):
        test = Test(test, f"/images/{arch}/{test}.elf")
    given = [f"{name}={value}" for name, value in axes.items() if name != "accel"]
    return Case(
        id=case_id or ".".join([scenario, test.name, arch, variant.accel, *given]),
        scenario=scenario,
        suite="builtin",
        test=test,
        variant=variant,
        build=build or Build(variant.arch, "/build", f"/images/{arch}"),
        settings=settings or RunSettings(repeat=repeat),
        excluded=excluded,
        migration=migration,
    )


def run(
    of: Case | None = None, accelerator: str = "", why: str = "no KVM", *, vcpus: int = 1
) -> Run:
    """With the accelerator that the case asks for, or else TCG."""
    planned = of or case()
    wanted = planned.variant.accel
    if not accelerator:
        accelerator = Accelerator.TCG if wanted is Accelerator.AUTO else wanted
    return Run(planned, Accelerator(accelerator), why, vcpus, memory=192 * 2**20)


def skip(case: Case, reason: str = "no such QEMU") -> Skip:
    return Skip(case, reason)


def subtest(text: str) -> Subtest:
    """As the guest prints it: ``PASS: name: message``."""
    verdict, name, *message = text.split(": ", 2)
    return Subtest(name, SubtestVerdict(verdict.lower()), message[0] if message else "")


def attempt(
    verdict: str = "pass",
    reason: str = "",
    *,
    number: int = 1,
    seconds: float = 0.5,
    subtests: Iterable[Subtest | str] = (),
    accelerator: str = "tcg",
    **fields: Unpack[AttemptFields],
) -> Attempt:
    """``subtests`` by what the guest prints, or whole."""
    parsed = tuple(subtest(each) if isinstance(each, str) else each for each in subtests)
    counts = [(each, sum(one.verdict is each for one in parsed)) for each in SubtestVerdict]
    fields.setdefault("accelerator_reason", "no KVM")
    return Attempt(
        number=number,
        verdict=Verdict(verdict),
        reason=reason,
        seconds=seconds,
        accelerator=accelerator,
        subtests=parsed,
        subtest_counts=tuple(each for each in counts if each[1]),
        **fields,
    )


def info(**fields: Unpack[InfoFields]) -> RunInfo:
    source = ScenarioSource.of("smoke", "scenarios/smoke.yaml", "name: smoke\n")
    return RunInfo(
        "2026-11-21T09:30:00.000Z", HOST, hostname="builder", scenarios=(source,), **fields
    )


def binary(arch: Architecture = X86, **fields: Unpack[BinaryFields]) -> Binary:
    usual: BinaryFields = {"qemu": "system", "version": (7, 2, 22), "sandbox": True}
    path = f"/usr/bin/qemu-system-{arch}"
    return Binary(architecture=arch, path=path, version_text="7.2.22", **(usual | fields))


def machine(name: str = "virt", cpu_max: int = 8) -> Machine:
    return Machine(name, cpu_max=cpu_max)


def proof(
    state: KvmState, arch: Architecture = X86, cpu: str = "", reason: str = "because"
) -> KvmProof:
    return KvmProof("system", arch, cpu, state, reason)


def inventory(*binaries: Binary, host: Host = HOST, **fields: Unpack[InventoryFields]) -> Inventory:
    return Inventory(host, binaries, **fields)
