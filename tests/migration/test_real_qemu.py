"""Guests that migrate under real QEMU: what they say must be what they say without migration."""

import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.attempt import Ending
from matrix.migrating import HopOutcome, Migration, MigrationMode, Strategy, Transport
from matrix.migration.endpoint import Emulator
from matrix.model import Accelerator, Architecture
from matrix.vm.machine import Limits, run_guest
from tests.migration.conftest import Chains, RealQemu

pytestmark = pytest.mark.qemu

LIMITS = Limits(timeout=200, stall=60, start=60)
TRIES = 10
"""On a busy host a guest of a second may end before its first hop."""
UNTIL_TOLD = "ram-integrity"
"""The guest that runs, and proves its memory, until it is told to stop: after all hops."""


def verdict_lines(console: bytes) -> list[str]:
    """What makes up a guest's verdict: the rest has times in it."""
    lines = console.decode().replace("\r", "").split("\n")
    return [line for line in lines if line.startswith(("PASS", "FAIL", "SKIP", "SUMMARY", "EXIT"))]


@pytest.mark.parametrize("transport", list(Transport))
def test_every_transport(
    chains: Chains,
    real: RealQemu,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    transport: Transport,
) -> None:
    """Also where the path of TMPDIR is too long for a socket."""
    long = tmp_path / ("x" * (250 - len(str(tmp_path))))
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    migration = Migration(
        mode=MigrationMode.CONTINUOUS,
        strategies=(Strategy.POSTCOPY,),
        transports=(transport,),
        hops=2,
        pace=0.0,
    )
    result = chains.run(real.request(UNTIL_TOLD, migration), LIMITS)
    assert result.bad == ()
    assert (result.outcome.ending, result.outcome.exit_status) == (Ending.EXITED, 1)
    assert result.summary.completed == 2
    assert {hop.transport for hop in chains.hops} == {transport.value}


@pytest.mark.parametrize(
    "strategy",
    [
        Strategy.MULTIFD,
        Strategy.POSTCOPY_PREEMPT,
        Strategy.XBZRLE,
        Strategy.AUTO_CONVERGE,
        Strategy.FILE,
        Strategy.BACKGROUND_SNAPSHOT,
    ],
)
def test_every_strategy_of_qemu_7_2(chains: Chains, real: RealQemu, strategy: Strategy) -> None:
    migration = Migration(mode=MigrationMode.CONTINUOUS, strategies=(strategy,), hops=2, pace=0.0)
    result = chains.run(real.request(UNTIL_TOLD, migration), LIMITS)
    assert result.bad == ()
    assert result.outcome.exit_status == 1
    assert result.summary.completed == 2
    assert not list(chains.folder.glob("*.state"))


def test_a_downtime_of_postcopy_is_no_longer_than_from_stop_to_resume(
    chains: Chains, real: RealQemu
) -> None:
    migration = Migration(
        mode=MigrationMode.CONTINUOUS,
        strategies=(Strategy.POSTCOPY,),
        parameters=(("max-bandwidth", 8 << 20), ("max-postcopy-bandwidth", 8 << 20)),
        hops=2,
        pace=0.0,
    )
    for name, request in real.requests(UNTIL_TOLD, migration):
        result = chains.run(request, LIMITS)
        assert (result.bad, result.summary.completed) == ((), 2), name
        for hop in chains.hops:
            assert hop.downtime is not None, name
            assert hop.stop_to_resume is not None, name
            # A host that has more to do than it can may have the source say late that it is over.
            assert hop.downtime < hop.stop_to_resume + 0.5 < hop.seconds, name


@pytest.mark.kvm
def test_precopy_under_kvm(chains: Chains, real: RealQemu) -> None:
    """Under TCG QEMU 7.2 may lose what the guest writes during precopy, on a busy host."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no KVM here")
    migration = Migration(mode=MigrationMode.CONTINUOUS, hops=3, pace=0.0)
    request = real.request("smp", migration, accelerator=Accelerator.KVM)
    result = chains.run(request, LIMITS)
    assert result.bad == ()
    assert result.outcome.exit_status == 1


BY_POLLING = {
    Architecture.MIPS64EL,
    Architecture.PPC64,
    Architecture.RISCV64,
    Architecture.RISCV32,
    Architecture.S390X,
}
"""Their timers' interrupts do not always come any more after a migration of QEMU 7.2 under TCG: on
s390x one guest in a thousand sleeps on."""


@pytest.mark.parametrize(
    "architecture",
    # QEMU 7.2 dies of any migration of this one (matrix/plan/strategy_settings.py).
    [each for each in Architecture if each is not Architecture.LOONGARCH64],
)
def test_the_console_is_as_without_migration(
    chains: Chains, real: RealQemu, architecture: Architecture, tmp_path: Path
) -> None:
    migration = Migration(
        mode=MigrationMode.CONTINUOUS, strategies=(Strategy.POSTCOPY,), hops=4, pace=0.0
    )
    test = "memory" if architecture in BY_POLLING else "timer"
    request = real.request(test, migration, architecture=architecture)
    alone: list[bytes] = []
    folder = tmp_path / "alone"
    folder.mkdir(mode=0o700)
    outcome = asyncio.run(run_guest(request.source.launch, folder, LIMITS, on_console=alone.append))
    for _ in range(TRIES):
        result = chains.run(request, LIMITS)
        assert (result.bad, result.outcome.reason) == ((), "")
        assert verdict_lines(chains.console) == verdict_lines(b"".join(alone))
        assert result.outcome.exit_status == outcome.exit_status
        if result.summary.completed:
            break
    assert result.summary.completed > 0


def test_memory_that_proves_itself_until_it_is_told_to_stop(chains: Chains, real: RealQemu) -> None:
    migration = Migration(
        mode=MigrationMode.CONTINUOUS, strategies=(Strategy.POSTCOPY,), hops=4, pace=0.05
    )
    result = chains.run(real.request(UNTIL_TOLD, migration, smp=2), LIMITS)
    assert result.bad == ()
    assert result.summary.completed == 4
    assert "INTEGRITY: END" in chains.console.decode()
    hop = chains.hops[-1]
    assert hop.blackout is not None
    assert 0 < hop.blackout < 30
    assert hop.silence is not None
    assert hop.clock_jump is not None


@pytest.mark.parametrize(
    ("option", "value", "difference"),
    [
        ("-m", "256M", "memory in bytes"),
        ("-smp", "2", "number of vCPUs"),
        ("-cpu", "Nehalem", "CPU model"),
        ("-machine", "q35", "machine type"),
    ],
)
def test_what_differs_is_refused_and_named(
    chains: Chains, real: RealQemu, once: Migration, option: str, value: str, difference: str
) -> None:
    request = real.request(UNTIL_TOLD, once)
    launch = request.source.launch
    other = Emulator("other", "7.2.0", replace(launch, argv=(*launch.argv, option, value)))
    result = chains.run(replace(request, destinations=(other,)), LIMITS)
    hop = chains.hops[0]
    assert (hop.outcome, hop.good) == (HopOutcome.FAILED, False)
    assert difference in hop.reason
    assert result.outcome.exit_status == 1
    assert "INTEGRITY: END" in chains.console.decode()


def test_a_destination_that_is_no_match_leaves_the_source_running(
    chains: Chains, real: RealQemu, once: Migration
) -> None:
    """A device that only the source has: nothing that is compared before the hop."""
    request = real.request(UNTIL_TOLD, once)
    other = replace(request.source, name="other")
    argv = (*other.launch.argv, "-device", "virtio-rng-pci")
    source = Emulator("system", "7.2.0", replace(other.launch, argv=argv))
    result = chains.run(replace(request, source=source, destinations=(other,)), LIMITS)
    assert chains.hops[0].outcome is HopOutcome.FAILED
    assert not result.lost
    assert result.outcome.exit_status == 1


@pytest.mark.slow  # a kill takes some two seconds, and shows little by itself
@pytest.mark.parametrize("side", ["source", "destination"])
def test_reasons_of_killed_hops_name_their_cause(side: str) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "random_kills.py"
    done = subprocess.run(
        [sys.executable, script, side, "postcopy", "5"],
        capture_output=True,
        text=True,
        timeout=600,  # only ends a hang
    )
    assert done.returncode == 0, done.stdout + done.stderr
