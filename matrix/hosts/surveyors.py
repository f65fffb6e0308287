"""Who answers what the inventory wants to know: QEMU itself, or what tests bring.

What takes a QEMU is loaded only when something has to be asked: QMP takes 50 ms to import.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.hosts.cached_records import Probed
from matrix.inventory import Binary, Firmware, KvmProof
from matrix.model import Architecture
from matrix.suites.build import builtin_build

if TYPE_CHECKING:
    from matrix.hosts.kvm_proof import Firmwares


@dataclass(frozen=True, slots=True)
class Surveyors:
    """Who does what takes processes; tests bring their own.

    ``probe(qemu, architecture, path)`` asks a binary, ``prove(binary, architecture, cpu)`` runs
    guests, ``guest_files(architecture)`` names the files of those guests,
    ``prove_firmware(binary, architecture, cpu, machine, firmware)`` starts firmware. They raise
    HostError, MonitorError or SuiteError.
    """

    probe: Callable[[str, Architecture, Path], Awaitable[Probed]]
    prove: Callable[[Binary, Architecture, str], Awaitable[KvmProof]]
    guest_files: Callable[[Architecture], Sequence[str]]
    prove_firmware: Callable[[Binary, Architecture, str, str, Firmware], Awaitable[KvmProof]]


def real_surveyors() -> Surveyors:
    """QEMU itself, and the embedded guests."""
    firmwares: Firmwares | None = None  # what the first proof makes, the later ones believe

    async def probe(qemu: str, architecture: Architecture, path: Path) -> Probed:
        from matrix.hosts.binary_probe import probe_binary

        return await probe_binary(qemu, architecture, path)

    async def prove(binary: Binary, architecture: Architecture, cpu: str) -> KvmProof:
        from matrix.hosts.kvm_proof import Firmwares, prove_kvm

        nonlocal firmwares
        firmwares = firmwares or Firmwares()
        return await prove_kvm(binary, architecture, cpu, firmwares=firmwares)

    async def firmware_too(
        binary: Binary, architecture: Architecture, cpu: str, machine: str, firmware: Firmware
    ) -> KvmProof:
        from matrix.hosts.firmware_proof import prove_firmware

        return await prove_firmware(binary, architecture, cpu, machine, firmware)

    return Surveyors(probe, prove, guest_files, firmware_too)


def guest_files(architecture: Architecture) -> tuple[str, ...]:
    """The files that make up the embedded guests of an architecture.

    Raises:
        SuiteError: they are not there.
    """
    images = Path(builtin_build(architecture).images)
    return tuple(str(file) for file in sorted(images.iterdir()) if file.is_file())
