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
        """Why the emulator of ``decision`` starts no guest at all, in its own words; empty where
        it does, or nobody can tell."""
        variant, accelerator = decision.case.variant, decision.accelerator
        emulator = emulator_architecture(variant.arch, accelerator, self.inventory)
        binary = self.inventory.binary(variant.qemu, emulator)
        if binary is None:
            return ""
        key = (variant.qemu, variant.arch, accelerator)
        async with self._lock:
            if key not in self._found:
                self._found[key] = await _why_never(binary, variant.arch, accelerator)
            return self._found[key]


async def _why_never(binary: Binary, architecture: Architecture, accelerator: Accelerator) -> str:
    try:
        build = builtin_build(architecture)
        test = next(test for test in read_tests(build, max_smp=1) if test.name == GUEST)
    except SuiteError:
        return ""
    variant = Variant(architecture, accelerator, qemu=binary.qemu)
    case = Case("start", "start", "builtin", test, variant, build)
    machine = machine_of(case).partition(",")[0] or FAMILIES[architecture].default
    if binary.machines and binary.machine(machine) is None:
        return ""  # built for other machines
    try:
        async with bare_qemu(launch_for(case, binary, accelerator).argv, TIMEOUT):
            return ""
    except (MonitorError, HostError) as error:
        why = error.why if isinstance(error, MonitorError) else str(error)
        return f"QEMU {binary.qemu} starts no guest at all: {why}"
