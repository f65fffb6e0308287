"""Proves KVM with UEFI firmware: the embedded guests, which have none, say nothing about that.

Firmware does what they do not: it begins in real mode, runs out of flash, and is larger. A KVM that
runs them all may give its vCPU up within the first instructions of it.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from matrix.attempt import Ending, Outcome
from matrix.errors import HostError
from matrix.hosts.kvm_proof import LOG_BYTES, GuestRunner
from matrix.inventory import Binary, Firmware, KvmProof, KvmState
from matrix.model import Accelerator, Architecture, Case, Launch, Test, Variant
from matrix.plan.command import EfiBoot, launch_for
from matrix.plan.efi import SCRIPT_NAME
from matrix.suites.build import builtin_build
from matrix.suites.console_protocol import ConsoleParser
from matrix.suites.judgement import End
from matrix.suites.unit_tests_judge import judge
from matrix.vm.machine import Limits, run_guest

TIMEOUT = 60.0
"""Seconds for firmware that takes 2 to 8, the 5 included that its shell waits for a key."""
STALL = 15.0
"""Seconds of idleness: firmware that has no shell waits in its menu."""

SCRIPT = "@echo -off\nreset -s\n"
"""What the UEFI shell runs: it switches the machine off."""

COME_UP = (b"BdsDxe", b"UEFI Interactive Shell", b"Boot Manager")
"""What edk2 says once it has initialized everything and looks for something to boot."""


async def prove_firmware(
    binary: Binary,
    architecture: Architecture,
    cpu: str,
    machine: str,
    firmware: Firmware,
    *,
    runner: GuestRunner = run_guest,
) -> KvmProof:
    """Start ``firmware`` under KVM, with a script for its shell that switches the machine off.

    Args:
        binary: the emulator, which has KVM built in.
        architecture: the guests'.
        cpu: the ``-cpu`` value, empty for the default.
        machine: type of the machine, perhaps with options; empty for the default.
        firmware: one that suits the machine.
        runner: runs a guest (tests bring their own).

    Returns:
        WORKS, or BROKEN with what became of it.

    Raises:
        SuiteError: the embedded guests, whose machine it is given, are not there.
        HostError: the host failed before anything could be said about KVM.
    """
    said = bytearray()
    try:
        with tempfile.TemporaryDirectory(prefix="matrix-proof-") as name:
            directory, partition = _folders(Path(name))
            launch = _launch(binary, architecture, cpu, machine, firmware, partition)
            limits = Limits(timeout=TIMEOUT, stall=STALL, log_bytes=LOG_BYTES)
            outcome = await runner(launch, directory, limits, on_console=said.extend)
    except OSError as error:
        raise HostError(f"no temporary folder: {error.strerror}") from error
    if outcome.ending is Ending.ERROR:
        raise HostError(outcome.reason)
    name = Path(firmware.executable).name
    if _came_up(outcome, bytes(said)):
        state, reason = KvmState.WORKS, f"UEFI firmware {name} comes up under KVM"
    else:
        state, reason = KvmState.BROKEN, f"KVM fails UEFI firmware {name}: {_why(launch, outcome)}"
    return KvmProof(binary.qemu, architecture, cpu, state, reason)


def _folders(parent: Path) -> tuple[Path, Path]:
    """Where the run's logs go, and the EFI system partition."""
    directory, partition = parent / "run", parent / "efi"
    directory.mkdir(mode=0o700)
    partition.mkdir()
    (partition / SCRIPT_NAME).write_text(SCRIPT)
    return directory, partition


def _launch(
    binary: Binary,
    architecture: Architecture,
    cpu: str,
    machine: str,
    firmware: Firmware,
    partition: Path,
) -> Launch:
    build = replace(builtin_build(architecture), efi=True)
    variant = Variant(
        architecture, Accelerator.KVM, qemu=binary.qemu, machine=machine or None, cpu=cpu or None
    )
    test = Test("firmware", image="")
    case = Case("firmware-proof", "firmware-proof", "kvm-unit-tests", test, variant, build)
    return launch_for(case, binary, Accelerator.KVM, efi_boot=EfiBoot(firmware, str(partition)))


def _came_up(outcome: Outcome, said: bytes) -> bool:
    """Whether the shell's script ran, or the firmware at least came to look for something to boot.

    One without a shell stays there until it is ended.
    """
    waits = outcome.ending in (Ending.EXITED, Ending.TIMEOUT, Ending.STALL)
    return waits and any(phrase in said for phrase in COME_UP)


def _why(launch: Launch, outcome: Outcome) -> str:
    """Why the firmware did not come up, in the words used for any guest."""
    test, nothing = Test("firmware", image=""), ConsoleParser().finish()
    return judge(End(test, launch.channel, outcome, nothing, Accelerator.KVM.value)).reason
