"""Whether a QEMU that refused a case starts any guest at all.

One that refuses a configuration skips a case; one that refuses every configuration is broken, and
would turn a whole run into skips. So the plainest guest is tried when a case was refused, once for
each emulator and accelerator.
"""

import asyncio
from dataclasses import dataclass, field

from matrix.errors import HostError, MonitorError, SuiteError
from matrix.inventory import Binary, Inventory
from matrix.model import Accelerator, Architecture, Case, Variant
from matrix.plan.command import launch_for, machine_of
from matrix.plan.decisions import Run
from matrix.plan.emulators import emulator_architecture
from matrix.plan.machines import FAMILIES
from matrix.suites.build import builtin_build
from matrix.suites.unittests import read_tests
from matrix.vm.probe import bare_qemu

GUEST = "boot"
"""The embedded guest that asks least of its machine."""
TIMEOUT = 30.0
"""Seconds until QEMU has loaded it and greets: 0.1 is usual, a busy host takes several."""

_Key = tuple[str, Architecture, Accelerator]


@dataclass(slots=True)
class Starting:
    """What was found out about the emulators of an inventory."""

    inventory: Inventory
    _found: dict[_Key, str] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def why_never(self, decision: Run) -> str:
        """Why an emulator of ``decision`` starts no guest at all, in its own words; empty where all
        do, migration destinations included, or it is unknown."""
        case, accelerator = decision.case, decision.accelerator
        arch = case.variant.arch
        emulator = emulator_architecture(arch, accelerator, self.inventory)
        destinations = case.migration.destinations if case.migration else ()
        async with self._lock:
            for qemu in dict.fromkeys((case.variant.qemu, *destinations)):
                binary, key = self.inventory.binary(qemu, emulator), (qemu, arch, accelerator)
                if binary is not None and key not in self._found:
                    self._found[key] = await _why_never(binary, arch, accelerator)
                if why := self._found.get(key, ""):
                    return why
        return ""


async def _why_never(binary: Binary, architecture: Architecture, accelerator: Accelerator) -> str:
    try:
        build = builtin_build(architecture)
        test = next(test for test in read_tests(build, max_smp=1) if test.name == GUEST)
    except SuiteError:
        return ""
    variant = Variant(architecture, accelerator, qemu=binary.qemu)
    case = Case("start", "start", "kvm-unit-tests", test, variant, build)
    machine = machine_of(case).partition(",")[0] or FAMILIES[architecture].default
    usual = binary.machine(machine) if machine else any(m.is_default for m in binary.machines)
    if binary.machines and not usual:
        return ""  # built for other machines
    try:
        async with bare_qemu(launch_for(case, binary, accelerator).argv, TIMEOUT):
            return ""
    except (MonitorError, HostError) as error:
        why = error.why if isinstance(error, MonitorError) else str(error)
        return f"QEMU {binary.qemu} starts no guest at all: {why}"
