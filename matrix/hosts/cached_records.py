"""How binaries and proofs are written into the cache, compactly, and read back.

Written out by hand: a validating library would take longer to load than all entries take to read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matrix.hosts.fingerprint import Stamp
from matrix.inventory import Binary, KvmProof, KvmState, Machine
from matrix.model import Architecture


@dataclass(frozen=True, slots=True)
class Probed:
    """What a binary said, and the files that make it up."""

    binary: Binary
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownBinary:
    """A binary and the files that its answers depend on."""

    binary: Binary
    stamps: tuple[Stamp, ...]


def encode_binary(known: KnownBinary) -> dict[str, Any]:
    """JSON of a binary; the name of its installation is left out, as another may share the file.

    Machines and CPU models have few sets of properties between them: each is written once.
    """
    binary = known.binary
    texts = dict.fromkeys([*(m.properties for m in binary.machines), *binary.cpu_properties])
    numbers = {text: number for number, text in enumerate(texts)}
    return {
        "stamps": [[s.path, s.size, s.modified, s.inode] for s in known.stamps],
        "architecture": binary.architecture.value,
        "path": binary.path,
        "version": binary.version,
        "version_text": binary.version_text,
        "accelerators": binary.accelerators,
        "machines": [
            [
                *(m.name, m.alias, m.cpu_max, m.is_default, m.deprecated, m.default_cpu),
                numbers[m.properties],
            ]
            for m in binary.machines
        ],
        "cpus": binary.cpus,
        "cpu_properties": [numbers[text] for text in binary.cpu_properties],
        "properties": list(texts),
        "devices": binary.devices,
        "migration_capabilities": binary.migration_capabilities,
        "migration_parameters": binary.migration_parameters,
        "migration_modes": binary.migration_modes,
        "migration_addresses": binary.migration_addresses,
        "sandbox": binary.sandbox,
        "exit_with_parent": binary.exit_with_parent,
        "sie": binary.sie,
        "note": binary.note,
    }


def decode_binary(value: Any, qemu: str) -> KnownBinary:
    """The binary that was encoded, as one of the installation ``qemu``."""
    major, minor, micro = value["version"]
    texts = value["properties"]
    binary = Binary(
        qemu=qemu,
        architecture=Architecture(value["architecture"]),
        path=value["path"],
        version=(major, minor, micro),
        version_text=value["version_text"],
        accelerators=tuple(value["accelerators"]),
        machines=tuple(
            Machine(*entry, properties=texts[number])  # type: ignore[misc]  # JSON has no types
            for *entry, number in value["machines"]
        ),
        cpus=tuple(value["cpus"]),
        cpu_properties=tuple(texts[number] for number in value["cpu_properties"]),
        devices=tuple(value["devices"]),
        migration_capabilities=tuple(value["migration_capabilities"]),
        migration_parameters=tuple(value["migration_parameters"]),
        migration_modes=tuple(value["migration_modes"]),
        migration_addresses=tuple(value["migration_addresses"]),
        sandbox=value["sandbox"],
        exit_with_parent=value["exit_with_parent"],
        sie=value["sie"],
        note=value["note"],
    )
    return KnownBinary(binary, tuple(Stamp(*stamp) for stamp in value["stamps"]))


def encode_proof(proof: KvmProof) -> dict[str, Any]:
    """JSON of what a proof found; what it is about is the entry's name."""
    return {"state": proof.state.value, "reason": proof.reason, "guests": proof.guests}


def decode_proof(value: Any, qemu: str, architecture: Architecture, cpu: str) -> KvmProof:
    """The proof that was encoded."""
    return KvmProof(
        qemu=qemu,
        architecture=architecture,
        cpu=cpu,
        state=KvmState(value["state"]),
        reason=value["reason"],
        guests=tuple((guest, verdict) for guest, verdict in value["guests"]),
    )


def stamps_text(stamps: Sequence[Stamp]) -> str:
    """The stamps as one text, to be part of a key."""
    return "\n".join(f"{s.path} {s.size} {s.modified} {s.inode}" for s in stamps)
