"""What the tests of faults share: a real guest that proves its memory, and how it is migrated."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from matrix.attempt import ChainResult
from matrix.migrating import Fault, Hop, Migration, MigrationMode, Strategy, Transport
from matrix.migration.chain import run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.faults.injectors import injector_for
from matrix.migration.hop_runner import Request
from matrix.model import ExitChannel, Launch
from matrix.vm.machine import Limits

QEMU = "qemu-system-x86_64"
IMAGE = Path(__file__).parents[3] / "matrix/guests/images/x86_64/x86/guest.flat"
MEMORY = "49160k"
"""No multiple of 256 KiB: with one, QEMU before 9.0 loses writes under TCG."""
LIMITS = Limits(timeout=200, stall=60, start=60)
RunFault = Callable[..., "Ran"]


@dataclass(slots=True)
class Ran:
    """What became of a case with a fault."""

    result: ChainResult
    hops: list[Hop] = field(default_factory=list)
    console: bytearray = field(default_factory=bytearray)


def guest(arguments: str = "region=16 set=4 rate=16 flush=1") -> Launch:
    """Two vCPUs that write their memory and check it, until they are told to stop."""
    return Launch(
        (
            *(QEMU, "--no-reboot", "-nodefaults", "-display", "none", "-serial", "stdio"),
            *("-device", "pc-testdev", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"),
            *("-machine", "accel=tcg", "-smp", "2", "-m", MEMORY),
            *("-kernel", str(IMAGE), "-append", f"ram-integrity {arguments}"),
        ),
        ExitChannel.QEMU_EXIT,
    )


@pytest.fixture
def run_fault(tmp_path: Path) -> RunFault:
    """Runs a guest whose first hop has a fault, and the second one none."""
    if shutil.which(QEMU) is None:
        pytest.skip(f"no {QEMU}")

    def run(
        fault: Fault,
        strategy: Strategy = Strategy.PRECOPY,
        transport: Transport = Transport.TCP,
        launch: Launch | None = None,
    ) -> Ran:
        directory = tmp_path / "case"
        directory.mkdir(mode=0o700)
        hops: list[Hop] = []
        console = bytearray()
        request = Request(
            migration=Migration(
                mode=MigrationMode.ONCE,
                strategies=(strategy,),
                transports=() if strategy.through_file else (transport,),
                faults=(fault,),
                pace=0.0,
            ),
            source=Emulator("system", "", launch or guest()),
            injectors=injector_for,
            on_hop=hops.append,
            # One that has not begun to write has nothing to send: the hop is over before the fault.
            proves=True,
            # Throttled, a guest has taken over a minute to converge on a crowded host.
            hop_seconds=180,
        )
        chain = run_chain(request, directory, LIMITS, on_console=console.extend)
        return Ran(asyncio.run(chain), hops, console)

    return run
