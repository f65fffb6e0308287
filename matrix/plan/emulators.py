"""Which binary runs a case, and what it is known not to take. Pure."""

import re

from matrix.inventory import Binary, Inventory
from matrix.model import Accelerator, Architecture, Case
from matrix.plan.command import cpu_of, machine_of, needs_of, option_values
from matrix.plan.machines import FAMILIES
from matrix.plan.properties import cpu_flaw, machine_flaw

_DEVICE = re.compile(r"[A-Za-z0-9_.-]+")
"""A device by its name, as opposed to one that is described in JSON."""


def emulator_architecture(
    architecture: Architecture, accelerator: Accelerator, inventory: Inventory
) -> Architecture:
    """The emulator's architecture: an Arm guest under an AArch64 host's KVM needs the host's."""
    native_arm = architecture is Architecture.ARM and inventory.host.architecture == "aarch64"
    if native_arm and accelerator is Accelerator.KVM:
        return Architecture.AARCH64
    return architecture


def not_for_variant(case: Case, accelerator: Accelerator) -> str:
    """Why the test is not for this machine and accelerator, whatever the QEMU; else empty."""
    wanted = machine_of(case).partition(",")[0]
    only = case.test.machine.partition(",")[0]
    if only and wanted != only:
        return f"for machine {only} only, but the machine is {wanted}"
    if cpu_of(case).partition(",")[0] == "host" and accelerator is Accelerator.TCG:
        return "CPU model 'host' needs KVM, but the accelerator is tcg"
    return ""


def refused(case: Case, binary: Binary) -> str:
    """Why this binary will refuse the case, as far as QMP told; else empty.

    Asked of the inventory rather than of a started QEMU, which would have to be started twice.
    """
    wanted = machine_of(case).partition(",")[0]
    name = f"QEMU {'.'.join(map(str, binary.version))}"
    if flaw := machine_flaw(chosen_machine(case) or wanted, binary):
        return flaw.described_for(binary)
    if reason := _too_many_vcpus(case, binary, name):
        return reason
    model = cpu_of(case).partition(",")[0]
    if flaw := cpu_flaw(case.variant.cpu or model, binary):
        return flaw.described_for(binary)
    if device := _missing_device(case, binary):
        return f"{name} has no device {device!r} for {binary.architecture.value}"
    return ""


def chosen_machine(case: Case) -> str:
    """The machine that the scenario names; empty where it leaves that to the test or to QEMU."""
    machine = machine_of(case)
    return "" if machine == case.test.machine else machine


def _too_many_vcpus(case: Case, binary: Binary, name: str) -> str:
    """That the machine takes fewer vCPUs than the case has, in words; else empty."""
    wanted = machine_of(case).partition(",")[0] or FAMILIES[case.variant.arch].default
    # Without a type in the table QEMU takes its own default.
    defaults = (entry for entry in binary.machines if entry.is_default)
    machine = binary.machine(wanted) if wanted else next(defaults, None)
    vcpus = needs_of(case).vcpus
    if machine is None or vcpus <= machine.cpu_max:
        return ""
    limit = f"{name}'s machine {wanted or machine.name} takes at most {machine.cpu_max}"
    return f"{vcpus} vCPUs, but {limit}"


def _missing_device(case: Case, binary: Binary) -> str:
    """The first device of the test's parameters that the binary does not have, else empty.

    ``-device`` also takes aliases, of which QMP does not tell. All of QEMU's are part of the name
    that they stand for (``e1000``, ``virtio-net``; ``qdev_alias_table`` in its qdev-monitor.c), so
    only a name that is part of none is known to be missing.
    """
    values = option_values(case.test.qemu_params, "-device")
    known = [name.lower() for name in binary.devices] if values else []
    for value in values:
        device = value.partition(",")[0].removeprefix("driver=")
        plain = _DEVICE.fullmatch(device) is not None
        if known and plain and not any(device.lower() in name for name in known):
            return device
    return ""
