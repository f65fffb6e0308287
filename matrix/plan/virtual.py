"""Which cases run in a virtual KVM host, or why they do not. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from matrix.capabilities import Kind, Need, Offer, lacking
from matrix.inventory import Binary, Host
from matrix.model import (
    VIRTUAL_HOST_AXES,
    Accelerator,
    AcceleratorLabel,
    Architecture,
    Case,
    Endian,
    Expectation,
    MemoryBackend,
    Target,
)
from matrix.plan.applicable import applicable
from matrix.plan.command import needs_of, only_accelerator
from matrix.plan.decisions import Decision, Run, Skip
from matrix.plan.disks import WITHOUT_IT, has_disk
from matrix.plan.kvmtool import kvmtool_needs, not_for_kvmtool
from matrix.plan.memory import MIB, backend_of
from matrix.plan.migration_plan import Planned, Side, plan_migration
from matrix.plan.program import USUAL_MEMORY, version_notes
from matrix.verdicts import SkipCause

SETTLED = (SkipCause.SCENARIO, SkipCause.NODEFAULT, SkipCause.NO_BUILD, SkipCause.TEST)
"""Causes of skips that hold on every host."""
OWN_MEMORY = 384 * MIB
"""What a virtual host's Linux and first program keep for themselves, at most."""
MOST_VCPUS = 16
"""Of our VMM (matrix/guests/host/vmm.h)."""


@dataclass(frozen=True, slots=True)
class VirtualPlace:
    """A virtual KVM host that the user has named, as far as plans go."""

    name: str
    description: str
    """Its kernel and its QEMU, in words."""
    memory: int
    """Bytes of the whole host."""
    cpus: int = 1
    missing: str = ""
    """Why there can be none; empty where there can."""
    binary: Binary | None = None
    """The QEMU that it is a guest of."""
    kvmtool: bool = False
    """Whether the user has given it one."""
    migrates: bool = True
    """Whether QEMU migrates its machine."""
    devices: tuple[str, ...] = ()
    """Those that it can assign to its guests."""
    no_iommu: str = ""
    """Why it has no IOMMU; empty where it has one."""
    host: Host | None = None
    """The machine that this runs on, with the virtual host's architecture and kernel; a kernel that
    is not known yet is empty."""

    @property
    def offer(self) -> Offer:
        """Its capabilities, as far as they are known before it runs."""
        return Offer(self.name, self.cpus, self.devices, self.no_iommu, is_virtual=True)


def place(
    decisions: Iterable[Decision], host_of: Callable[[Case], VirtualPlace | None]
) -> Iterator[Decision]:
    """The decisions, with those of KVM that have a virtual host put there.

    ``host_of`` is asked for the host of a case for KVM, if it has one.
    """
    for decision in decisions:
        case = decision.case
        axes = axes_of_hosts(case)
        if isinstance(decision, Skip) and decision.cause in SETTLED:
            yield decision
        elif axes and (wrong := _senseless(case, axes)):
            yield Skip(case, wrong, SkipCause.UNSUPPORTED)
        elif not asks_for_kvm(case) or ((host := host_of(case)) is None and not axes):
            yield decision
        elif host is None:
            reason = (
                f"{axes} is of a virtual KVM host, and the run has none for "
                f"{case.variant.arch.value}: name one in 'hosts' or with --virtual-host"
            )
            yield Skip(case, reason, SkipCause.NO_ACCELERATOR)
        else:
            yield _placed(case, host)


def axes_of_hosts(case: Case) -> str:
    """The first of the axes that a virtual host alone has, as ``name=value``; empty for none."""
    values = ((axis, getattr(case.variant, axis)) for axis in VIRTUAL_HOST_AXES)
    return next((f"{axis}={value}" for axis, value in values if value is not None), "")


def asks_for_kvm(case: Case) -> bool:
    """KVM alone will do: ``auto`` stays on this machine where nothing says otherwise."""
    if case.variant.accel is Accelerator.AUTO:
        return only_accelerator(case.test) == Accelerator.KVM.value or bool(axes_of_hosts(case))
    return case.variant.accel is Accelerator.KVM


def _senseless(case: Case, axes: str) -> str:
    variant = case.variant
    only = only_accelerator(case.test)
    tcg = Accelerator.TCG.value
    if variant.accel is Accelerator.TCG or only == tcg:
        why = "the test is for tcg only" if only == tcg else "the accelerator is tcg"
        return f"{axes} is of a virtual KVM host, but {why}"
    if variant.mode is not None and variant.arch is not Architecture.AARCH64:
        return f"mode {variant.mode} is one of KVM on aarch64"
    return ""


def _placed(case: Case, host: VirtualPlace) -> Decision:
    if host.missing:
        reason = f"no virtual KVM host for {case.variant.arch.value}: {host.missing}"
        return Skip(case, reason, SkipCause.NO_ACCELERATOR)
    if case.migration is not None and not case.build.builtin:
        reason = "in a virtual KVM host that is migrated only the embedded guests run"
        return Skip(case, reason, SkipCause.UNSUPPORTED)
    if reason := lacking(case.test.needs, host.offer):
        return Skip(case, reason, SkipCause.HOST)
    if has_disk(case):
        return Skip(case, f"not in a virtual KVM host: {WITHOUT_IT}", SkipCause.UNSUPPORTED)
    if case.build.target is Target.PROGRAM:
        return _placed_program(case, host)
    if case.build.target is Target.KVMTOOL:
        return _placed_with_kvmtool(case, host)
    if reason := _unsuited(case):
        return Skip(case, reason, SkipCause.UNSUPPORTED)
    needs = needs_of(case)
    if needs.vcpus > MOST_VCPUS:
        reason = f"{needs.vcpus} vCPUs, but in a virtual host a guest has at most {MOST_VCPUS}"
        return Skip(case, reason, SkipCause.UNSUPPORTED)
    if reason := _too_large(needs.guest_memory, host):
        return Skip(case, reason, SkipCause.HOST)
    if case.migration is None:
        return _run(case, host, needs.vcpus, needs.guest_memory)
    planned = _host_migration(case, host)
    if isinstance(planned, str):
        return Skip(case, planned, SkipCause.UNSUPPORTED)
    case = replace(case, migration=planned.migration)
    return replace(_run(case, host, needs.vcpus, needs.guest_memory), notes=planned.notes)


def _host_migration(case: Case, host: VirtualPlace) -> Planned | str:
    """What the migration of the host comes to, in which the case's guest runs; or why none."""
    assert case.migration is not None  # noqa: S101 - the caller's condition
    assert host.binary is not None and host.host is not None  # noqa: S101, PT018 - none is missing
    if not host.migrates:
        return f"{host.name}: QEMU {host.binary.version_text} does not migrate its machine"
    others = [name for name in case.migration.destinations if name != case.variant.qemu]
    if others or case.migration.machine:
        other = case.migration.machine or f"QEMU {', '.join(others)}"
        return f"a virtual KVM host is migrated as it is, to its own QEMU alone: not to {other}"
    whole = replace(case, variant=replace(case.variant, smp=host.cpus))  # it is the host that goes
    return plan_migration(whole, Accelerator.TCG, Side(host.binary, host.host), ())


def _placed_program(case: Case, host: VirtualPlace) -> Decision:
    """A program sees the host's CPUs and memory as they are."""
    test = case.test
    if test.image.endswith(".sh"):
        reason = "a script, and in a virtual KVM host there is no shell"
        return Skip(case, reason, SkipCause.UNSUPPORTED)
    if reason := lacking((Need(Kind.CPUS, str(test.smp)),), host.offer):
        return Skip(case, reason, SkipCause.HOST)
    if reason := _too_large(test.memory, host):
        return Skip(case, reason, SkipCause.HOST)
    run = _run(case, host, test.smp, test.memory or USUAL_MEMORY)
    return run if host.host is None else replace(run, notes=version_notes(case, host.host))


def _placed_with_kvmtool(case: Case, host: VirtualPlace) -> Decision:
    if reason := not_for_kvmtool(case):
        return Skip(case, f"the build is for kvmtool{reason}", SkipCause.TEST)
    if not host.kvmtool:
        reason = f"the build is for kvmtool, and {host.name} has none (kvmtool=PATH of an lkvm)"
        return Skip(case, reason, SkipCause.NO_QEMU)
    vcpus, memory = kvmtool_needs(case)
    if reason := _too_large(memory, host):
        return Skip(case, reason, SkipCause.HOST)
    return _run(case, host, vcpus, memory)


def _too_large(memory: int, host: VirtualPlace) -> str:
    room = host.memory - OWN_MEMORY
    if memory <= room:
        return ""
    wanted, mib = memory // MIB, (memory + OWN_MEMORY) // MIB
    return (
        f"its memory is {wanted} MiB, and {host.name} has {room // MIB} MiB for guests "
        f"(memory={mib}MiB gives it)"
    )


def _run(case: Case, host: VirtualPlace, vcpus: int, memory: int) -> Run:
    why = f"a virtual KVM host: {host.description}"
    expected: tuple[Expectation, ...] = ()
    if host.binary is not None and host.host is not None:
        expected = applicable(
            case.expected, AcceleratorLabel.VIRTUAL_KVM, host.binary, host.host, case.build
        )
    return Run(
        case,
        Accelerator.KVM,
        why,
        vcpus,
        memory,
        expected=expected,
        host=host.name,
    )


def _unsuited(case: Case) -> str:
    """What a virtual host cannot do yet, in words; else empty."""
    variant = case.variant
    in_qemu = any(need.kind is Kind.DEVICE for need in case.test.needs)
    if not case.build.builtin:
        return _unsuited_to_qemu(case)
    for axis, value in (("machine", variant.machine), ("cpu", variant.cpu)):
        if value:
            return f"{axis} {value}: guests of virtual KVM hosts have one machine and its CPU"
    if variant.arch is Architecture.PPC64 and case.build.endian is Endian.BIG:
        return "endian big: embedded guests of virtual KVM hosts are little-endian"
    if in_qemu:
        return _unsuited_to_qemu(case)
    if case.migration is None and variant.backend not in (None, MemoryBackend.RAM):
        return (
            f"backend {variant.backend}: embedded guests of virtual KVM hosts have plain memory, "
            "unless their host is migrated, of which it is then the backend"
        )
    return ""


def _unsuited_to_qemu(case: Case) -> str:
    """What a guest cannot have under the QEMU that runs in a virtual host; else empty."""
    if case.build.efi:
        return "UEFI builds do not run in virtual KVM hosts"
    if backend_of(case) is MemoryBackend.HUGEPAGES:
        return "virtual KVM hosts have no huge pages"
    return ""
