"""Which binaries and proofs of KVM somebody needs, so that no more than that is asked for."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from matrix.hosts.installations import Installation
from matrix.model import Accelerator, Architecture, Case, Target
from matrix.plan.command import cpu_of, machine_of, only_accelerator
from matrix.plan.machines import FAMILIES
from matrix.plan.virtual import asks_for_kvm

_X86_MODELS = ("", "qemu64", "host", "max")
DOCTOR_MODELS: dict[Architecture, tuple[str, ...]] = {
    **dict.fromkeys(Architecture, ("", "host")),
    **dict.fromkeys((Architecture.X86_64, Architecture.I386), _X86_MODELS),
}
"""CPU models that the doctor proves: the default, the plainest of x86, and those that take all
that the host's KVM claims to offer, where most breaks."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One emulator, and the CPU models (``-cpu`` values, empty: the default) to prove KVM for."""

    qemu: str
    """Name of the installation."""
    architecture: Architecture
    """Of the guests."""
    cpus: tuple[str, ...] = ()
    firmware_machine: str | None = None
    """Type of the machine, empty for QEMU's default, to prove KVM with UEFI firmware for; None
    where no case needs that."""


def wanted_by(
    cases: Iterable[Case],
    virtual: Collection[Architecture] = (),
    no_kvm_here: Collection[Architecture] = (),
) -> tuple[Wanted, ...]:
    """What planning these cases takes of QEMU; nothing for those that are skipped on any host.

    ``virtual`` are the architectures of virtual hosts, which run what takes no QEMU itself. All
    cases for KVM of ``no_kvm_here`` run there, so that nobody asks for this machine's.
    """
    found: dict[tuple[str, Architecture], dict[str, None]] = {}
    machines: dict[tuple[str, Architecture], str] = {}
    for case in cases:
        variant = case.variant
        by_qemu = case.build.target is Target.QEMU
        if case.excluded or case.test.unsupported or not (by_qemu or variant.arch in virtual):
            continue
        if not by_qemu or (variant.arch in no_kvm_here and asks_for_kvm(case)):
            found.setdefault((variant.qemu, variant.arch), {})
            continue
        only = only_accelerator(case.test)
        with_kvm = variant.accel is not Accelerator.TCG and only != Accelerator.TCG.value
        for qemu in (variant.qemu, *(case.migration.destinations if case.migration else ())):
            cpus = found.setdefault((qemu, variant.arch), {})
            if with_kvm:
                cpus[cpu_of(case)] = None
        if with_kvm and case.build.efi:
            machine = machine_of(case).partition(",")[0] or FAMILIES[variant.arch].default
            machines.setdefault((variant.qemu, variant.arch), machine)
    return tuple(Wanted(*key, tuple(cpus), machines.get(key)) for key, cpus in found.items())


def files_wanted_by(cases: Iterable[Case]) -> tuple[str, ...]:
    """The host's files that the cases' tests compare (``check = PATH=VALUE``), or that tell of what
    they need."""
    tests = dict.fromkeys(case.test for case in cases)
    checked = (path for test in tests for path, _ in test.checks)
    told = (need.file for test in tests for need in test.needs if need.file)
    return tuple(dict.fromkeys((*checked, *told)))


def everything(installations: Sequence[Installation]) -> tuple[Wanted, ...]:
    """What the doctor shows: every architecture of every installation."""
    return tuple(
        Wanted(installation.name, architecture, DOCTOR_MODELS[architecture])
        for installation in installations
        for architecture in Architecture
    )
