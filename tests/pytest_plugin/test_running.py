"""A guest that a test holds, without a test that holds it."""

import asyncio
import sys
from pathlib import Path

from matrix.attempt import Ending
from matrix.inventory import Binary, Host, Inventory
from matrix.model import Accelerator, Architecture, Build, Case, RunSettings, Test, Variant
from matrix.plan.decisions import Run
from matrix.pytest_plugin.running import PlannedGuest, RunningGuest

FAKE = Path(__file__).parents[1] / "fake_qemu.py"
X86, ARM, ARM64 = Architecture.X86_64, Architecture.ARM, Architecture.AARCH64


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
        *("s.timer", "s", "kvm-unit-tests", Test("timer", "/build/arm/timer.flat")),
        Variant(ARM, Accelerator.KVM),
        Build(ARM, "/build", "/build/arm"),
    )
    decision = Run(case, Accelerator.KVM, "asked for", 1, 2**28)
    emulator = asyncio.run(PlannedGuest(decision, Inventory(host, (binary,)), tmp_path).emulator())
    assert emulator.label == "system 11.1.0"
    assert emulator.modes == ("normal", "cpr-reboot")


def test_half_of_the_time_in_hops_is_not_the_guests(tmp_path: Path) -> None:
    program = tmp_path / "qemu-system-x86_64"
    script = """{"cont": [["serve", null]]}"""
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S {FAKE} -fake '{script}' \"$@\"\n")
    program.chmod(0o755)
    host = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=2**33)
    binary = Binary("fake", X86, str(program), (10, 0, 0), "10.0.0")
    case = Case(
        *("s.ever", "s", "kvm-unit-tests", Test("ever", "/build/ever.flat")),
        Variant(X86, Accelerator.TCG, qemu="fake"),
        Build(X86, "/build", "/build"),
        settings=RunSettings(timeout=0.2, stall=60.0),
    )
    decision = Run(case, Accelerator.TCG, "asked for", 1, 2**28)
    guest = RunningGuest(PlannedGuest(decision, Inventory(host, (binary,)), tmp_path))
    guest.guest.hop_seconds = 2.0

    async def live() -> None:
        await guest.start()
        await guest.ended_within(100)

    asyncio.run(live())
    assert guest.outcome is not None
    assert (guest.outcome.ending, guest.guest.time_limit) == (Ending.TIMEOUT, 1.2)
    assert guest.outcome.seconds >= 1.2
