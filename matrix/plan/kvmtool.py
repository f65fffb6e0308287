"""kvmtool (``lkvm``), the other program that builds are made for: run or skip, and how. Pure.

The counterpart of :mod:`matrix.plan.planner` and :mod:`matrix.plan.command` for builds configured
with ``--target=kvmtool``. It runs guests under KVM only, has no monitor, and its guests report
their status on the console. Options are those of kvm-unit-tests' ``scripts/vmm.bash`` and
``arm/run``.
"""

from itertools import pairwise

from matrix.inventory import Inventory
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
from matrix.verdicts import SkipCause

HOSTS = {
    Architecture.AARCH64: ("aarch64",),
    Architecture.ARM: ("aarch64", "armv7l"),
    Architecture.RISCV64: ("riscv64",),
}
"""``uname -m`` of the hosts on which kvmtool runs the guests of an architecture; these are the ones
for which kvm-unit-tests can be configured so."""

AXES = ("arch", "accel", "qemu", "smp", "memory", *VIRTUAL_HOST_AXES)
"""Those that mean something here; ``qemu`` has its default where it is not given."""

DEFAULTS = ("--nodefaults", "--network", "mode=none", "--loglevel=warning")
"""Keeps it from adding to the guest's command line, from a network device, and from chatter."""

HOW_TO_INSTALL = (
    "build it from https://git.kernel.org/pub/scm/linux/kernel/git/will/kvmtool.git"
    " and put lkvm into PATH, or name it with KVMTOOL"
)

MIB = 2**20
MEMORY_STEP = 64 * MIB
"""Without ``--mem`` a guest gets one of these for each vCPU and three more (kvmtool,
builtin-run.c)."""

OVERHEAD = 16 * MIB
"""Of the process itself."""


def decide_kvmtool(case: Case, inventory: Inventory) -> Decision:
    """Run ``case`` under kvmtool, or skip it with the reason."""
    if skip := _why_not(case, inventory):
        return skip
    vcpus, memory = kvmtool_needs(case)
    expected = applicable(case.expected, AcceleratorLabel.KVM, None, inventory.host, case.build)
    return Run(
        case,
        Accelerator.KVM,
        "kvmtool has no other",
        vcpus,
        memory,
        expected=expected,
    )


def launch_kvmtool(case: Case, program: str, host: str, *, initrd: str = "") -> Launch:
    """The command line that runs ``case``.

    Args:
        case: of a build for kvmtool.
        program: path of ``lkvm``.
        host: ``uname -m``.
        initrd: path of the environment file, empty where the guest takes none.
    """
    test, variant = case.test, case.variant
    compatible = variant.arch is Architecture.ARM and host == "aarch64"
    argv = (
        *(program, "run"),
        *("--kernel", test.image),
        *("--cpus", str(_vcpus(case))),
        *(("--params", test.arguments) if test.arguments else ()),
        *DEFAULTS,
        *test.kvmtool_params,
        *(() if variant.memory is None else ("--mem", str(variant.memory // MIB))),
        *(("--aarch32",) if compatible else ()),
        *(("--initrd", initrd) if initrd else ()),
    )
    return Launch(argv, ExitChannel.CONSOLE, program="kvmtool", monitor=False)


def _why_not(case: Case, inventory: Inventory) -> Skip | None:
    if reason := not_for_kvmtool(case):
        return Skip(case, f"the build is for kvmtool{reason}", SkipCause.TEST)
    arch, host = case.variant.arch.value, inventory.host
    if host.architecture not in HOSTS.get(case.variant.arch, ()):
        reason = f"which runs {arch} guests under KVM only, and this host is {host.architecture}"
    elif host.kvm_device:
        reason = f"which needs KVM: {host.kvm_device}"
    elif not inventory.kvmtool:
        reason = f"which is not installed ({HOW_TO_INSTALL})"
        return Skip(case, f"the build is for kvmtool, {reason}", SkipCause.NO_QEMU)
    else:
        return None
    return Skip(case, f"the build is for kvmtool, {reason}", SkipCause.NO_ACCELERATOR)


def not_for_kvmtool(case: Case) -> str:
    """What kvmtool cannot do of the case on any host, in words that follow its name; or empty."""
    if case.build.efi:
        return " and UEFI, which kvmtool does not have"
    if Accelerator.TCG in (case.variant.accel, case.test.accelerator):
        return ", which has KVM only, but the accelerator is tcg"
    if case.migration is not None:
        return ", which cannot migrate guests"
    for axis in case.variant.axes():
        if axis not in AXES:
            return f", which has no choice of {axis}"
    return ""


def kvmtool_needs(case: Case) -> tuple[int, int]:
    """vCPUs, and bytes that the process takes."""
    vcpus = _vcpus(case)
    return vcpus, _memory(case, vcpus)


def _vcpus(case: Case) -> int:
    return case.test.smp if case.variant.smp is None else case.variant.smp


def _memory(case: Case, vcpus: int) -> int:
    """Bytes that the process takes."""
    if case.variant.memory is not None:
        return case.variant.memory + OVERHEAD
    words = case.test.kvmtool_params
    sizes = [value for name, value in pairwise(words) if name == "--mem"]
    if sizes and sizes[-1].isdecimal():
        return int(sizes[-1]) * MIB + OVERHEAD
    return MEMORY_STEP * (vcpus + 3) + OVERHEAD
