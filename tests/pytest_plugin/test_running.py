"""A guest that a test holds, without a test that holds it."""

import asyncio
from pathlib import Path

from matrix.inventory import Binary, Host, Inventory
from matrix.model import Accelerator, Architecture, Build, Case, Test, Variant
from matrix.plan.decisions import Run
from matrix.pytest_plugin.running import Planned

ARM, ARM64 = Architecture.ARM, Architecture.AARCH64


def test_an_arm_guest_under_kvm_has_the_version_and_modes_of_the_hosts_emulator(
    tmp_path: Path,
) -> None:
    host = Host(architecture="aarch64", kernel="6.1.0", cpus=2, memory=2**33)
    binary = Binary(
        *("system", ARM64, "/usr/bin/qemu-system-aarch64", (11, 1, 0), "11.1.0"),
        migration_parameters=("mode",),
        migration_modes=("normal", "cpr-reboot"),
    )
    case = Case(
        *("s.timer", "s", "suite", Test("timer", "/build/arm/timer.flat")),
        Variant(ARM, Accelerator.KVM),
        Build(ARM, "/build", "/build/arm"),
    )
    decision = Run(case, Accelerator.KVM, "asked for", 1, 2**28)
    emulator = asyncio.run(Planned(decision, Inventory(host, (binary,)), tmp_path).emulator())
    assert emulator.label == "system 11.1.0"
    assert emulator.modes == ("normal", "cpr-reboot")
