"""Cases that are programs of their own, which run on a host and not in a guest of ours. Pure.

KVM's selftests are: each opens ``/dev/kvm`` itself. The counterpart of :mod:`matrix.plan.planner`
and :mod:`matrix.plan.command` for builds whose target is :attr:`matrix.model.Target.PROGRAM`.
"""

from matrix.capabilities import Kind, Need, Offer, lacking
from matrix.inventory import Host, Inventory
from matrix.model import (
    VIRTUAL_HOST_AXES,
    Accelerator,
    AcceleratorLabel,
    Architecture,
    Case,
    ExitChannel,
    Launch,
)
from matrix.plan.applicable import applicable
from matrix.plan.decisions import Decision, Run, Skip
from matrix.plan.memory import MIB
from matrix.verdicts import SkipCause
from matrix.versions import version_of

HOSTS = {
    Architecture.X86_64: ("x86_64",),
    Architecture.AARCH64: ("aarch64",),
    Architecture.RISCV64: ("riscv64",),
    Architecture.S390X: ("s390x",),
    Architecture.PPC64: ("ppc64le", "ppc64"),
    Architecture.MIPS64EL: ("mips64",),
    Architecture.LOONGARCH64: ("loongarch64",),
}
"""``uname -m`` of the hosts that run an architecture's programs."""

AXES = ("arch", "accel", "qemu", *VIRTUAL_HOST_AXES)
"""Those that mean something here; ``qemu`` has its default where it is not given."""

USUAL_MEMORY = 64 * MIB
"""Of a program that says nothing."""


def decide_program(case: Case, inventory: Inventory) -> Decision:
    """Run ``case`` on its host, or skip it with the reason."""
    host = inventory.host
    if reason := _senseless(case):
        return Skip(case, reason, SkipCause.TEST)
    arch = case.variant.arch
    if host.architecture not in HOSTS.get(arch, ()):
        reason = f"a program for {arch.value}, but this host is {host.architecture}"
        return Skip(case, reason, SkipCause.NO_ACCELERATOR)
    if host.kvm_device:
        return Skip(case, f"needs KVM: {host.kvm_device}", SkipCause.NO_ACCELERATOR)
    if reason := _too_small(case, host):
        return Skip(case, reason, SkipCause.HOST)
    expected = applicable(case.expected, AcceleratorLabel.KVM, None, host, case.build)
    return Run(
        case,
        Accelerator.KVM,
        "the program uses KVM itself",
        case.test.smp,
        case.test.memory or USUAL_MEMORY,
        expected=expected,
        notes=version_notes(case, host),
    )


def launch_program(case: Case) -> Launch:
    """The command line of ``case``: the program itself."""
    argv = (case.test.image, *case.test.arguments.split())
    return Launch(argv, ExitChannel.STATUS, program=case.test.name, monitor=False)


def _senseless(case: Case) -> str:
    """What cannot be asked of a program on any host; else empty."""
    if case.migration is not None:
        return "the test is a program, which cannot be migrated"
    if case.variant.accel is Accelerator.TCG:
        return "the test is a program that uses KVM itself, but the accelerator is tcg"
    for axis in case.variant.axes():
        if axis not in AXES:
            return f"the test is a program, which has no choice of {axis}"
    return ""


def _too_small(case: Case, host: Host) -> str:
    test = case.test
    if reason := lacking((Need(Kind.CPUS, str(test.smp)),), Offer("this host", host.cpus)):
        return reason
    limit = min(host.memory, host.memory_limit or host.memory)
    if test.memory and test.memory > limit:
        return f"needs {test.memory // MIB} MiB of memory, but this host has {limit // MIB} MiB"
    return ""


def version_notes(case: Case, host: Host) -> tuple[str, ...]:
    """That the suite is of another kernel than the host's: what fails may be due to that alone."""
    built, running = version_of(case.build.revision), version_of(host.kernel)
    if not built or not running or built[:2] == running[:2]:
        return ()
    return (f"{case.suite} of Linux {case.build.revision}, but the host runs {host.kernel}",)
