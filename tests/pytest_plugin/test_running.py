"""A guest that a test holds, without a test that holds it."""

import asyncio
import json
import shlex
import sys
from pathlib import Path

import pytest

from matrix.attempt import Ending
from matrix.errors import MonitorError
from matrix.inventory import Binary, Host, Inventory
from matrix.migrating import Strategy, Transport
from matrix.model import Accelerator, Architecture, Build, Case, RunSettings, Test, Variant
from matrix.plan.decisions import Run
from matrix.pytest_plugin.moving import Way
from matrix.pytest_plugin.running import PlannedGuest, RunningGuest
from matrix.scenario.compatibility import Route
from matrix.verdicts import Verdict

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


def fake_guest(tmp_path: Path, timeout: float, **script: object) -> RunningGuest:
    """A guest of an installation whose QEMU is a fake with that script."""
    program = tmp_path / "qemu-system-x86_64"
    text = shlex.quote(json.dumps(script))
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {FAKE} -fake {text} "$@"\n')
    program.chmod(0o755)
    host = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=2**33)
    binary = Binary("fake", X86, str(program), (10, 0, 0), "10.0.0")
    case = Case(
        *("s.ever", "s", "kvm-unit-tests", Test("ever", "/build/ever.flat")),
        Variant(X86, Accelerator.TCG, qemu="fake"),
        Build(X86, "/build", "/build"),
        settings=RunSettings(timeout=timeout, stall=60.0),
    )
    decision = Run(case, Accelerator.TCG, "asked for", 1, 2**28)
    return RunningGuest(PlannedGuest(decision, Inventory(host, (binary,)), tmp_path))


def test_half_of_the_time_in_hops_is_not_the_guests(tmp_path: Path) -> None:
    guest = fake_guest(tmp_path, 0.2, cont=[["serve", None]])
    guest.guest.hop_seconds = 2.0

    async def live() -> None:
        await guest.start()
        await guest.ended_within(100)

    asyncio.run(live())
    assert guest.outcome is not None
    assert (guest.outcome.ending, guest.guest.time_limit) == (Ending.TIMEOUT, 1.2)
    assert guest.outcome.seconds >= 1.2


def test_a_hop_is_given_up_with_its_guest(tmp_path: Path) -> None:
    """Whoever waits for it is told, and so is who asks for another."""
    guest = fake_guest(tmp_path, 1.0, cont=[["serve", None]], silent=["migrate"])
    way = Way(Route(Strategy.PRECOPY, Transport.UNIX))

    async def live() -> None:
        await guest.start()
        for _ in range(2):
            with pytest.raises(MonitorError, match="the guest is over"):
                await guest.migrate(guest.emulator, way)
        await guest.ended_within(100)

    asyncio.run(live())
    assert guest.outcome is not None
    assert (guest.outcome.ending, guest.hops) == (Ending.TIMEOUT, [])
    assert guest.attempt is not None
    assert guest.attempt.verdict is Verdict.TIMEOUT
