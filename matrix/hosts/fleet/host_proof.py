"""Proves a host of a fleet: the embedded guests run there, by each of its QEMUs.

Where KVM was proven they run under it again, and of each QEMU once under TCG. Before that, its
worker's folder has to take a file: guests that small would pass on a full disk.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from matrix.errors import HostError, SuiteError
from matrix.hosts.kvm_proof import GuestRunner, try_guests
from matrix.inventory import Binary, Inventory, KvmState
from matrix.model import Accelerator, Architecture
from matrix.plan.emulators import emulator_architecture
from matrix.suites.build import builtin_build
from matrix.vm.machine import run_guest

ROOM = 1 << 20
"""Bytes that a worker's folder has to take: enough to tell a full disk, and no burden."""


def why_no_room(folder: Path) -> str:
    """Why the folder does not take a file of :data:`ROOM`; empty where it does."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, ROOM)
    except OSError as error:
        return f"{folder} does not take a file of {ROOM >> 20} MiB: {error.strerror or error}"
    return ""


async def what_is_wrong(inventory: Inventory, *, runner: GuestRunner = run_guest) -> str:
    """Run them; gives which does not pass and why, or nothing where all do.

    Args:
        inventory: what the host can run. One without a QEMU has nothing to prove.
        runner: see :func:`matrix.hosts.kvm_proof.prove_kvm`.
    """
    for binary, architecture, accelerator, cpu in _trials(inventory):
        where = f"{architecture.value} under {accelerator.value} (QEMU {binary.version_text})"
        try:
            *_, last = await try_guests(binary, architecture, accelerator, cpu=cpu, runner=runner)
        except (HostError, SuiteError) as error:
            return f"guests of {where} cannot be run: {error}"
        if not last.passed:
            return f"the {last.guest} guest of {where} fails: {last.judgement.reason}"
    return ""


def _trials(inventory: Inventory) -> Iterator[tuple[Binary, Architecture, Accelerator, str]]:
    """Each QEMU with the guests and the CPU model that are to be tried."""
    binaries = {(each.qemu, each.architecture): each for each in inventory.binaries}
    tried: set[tuple[str, Architecture]] = set()
    for proof in inventory.proofs:
        emulator = emulator_architecture(proof.architecture, Accelerator.KVM, inventory)
        binary = binaries.get((proof.qemu, emulator))
        pair = proof.qemu, proof.architecture
        if proof.state is KvmState.WORKS and binary is not None and pair not in tried:
            tried.add(pair)
            yield binary, proof.architecture, Accelerator.KVM, proof.cpu
    own_first = sorted(
        inventory.binaries,
        key=lambda each: each.architecture.value != inventory.host.architecture,
    )
    of_each = {each.qemu: each for each in reversed(own_first) if _has_guests(each.architecture)}
    for binary in of_each.values():
        yield binary, binary.architecture, Accelerator.TCG, ""


def _has_guests(architecture: Architecture) -> bool:
    try:
        builtin_build(architecture)
    except SuiteError:
        return False
    return True
