"""What must be the same on both sides of a hop, and is compared before: QEMU does not always.

Another CPU model under TCG, for one, migrates without a word, and the guest then finds itself on a
processor with other features.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from matrix.errors import MonitorError


@dataclass(frozen=True, slots=True)
class Identity:
    """What a QEMU process presents to its guest, as far as it can be asked."""

    machine: str = ""
    """Type of ``/machine``, without QEMU's suffix."""
    vcpus: int = 0
    cpu: str = ""
    """QOM type of the first vCPU."""
    features: str = ""
    """x86: the CPUID words of that vCPU."""
    memory: int = 0
    """Bytes, without what may be plugged."""


class Asked(Protocol):
    """A :class:`matrix.migration.endpoint.Endpoint`, as far as it is needed here."""

    identity: Identity | None

    async def execute(self, command: str, arguments: Mapping[str, object] | None = None, /) -> Any:
        """Execute a QMP command."""


WORDS = {
    "machine": "machine type",
    "vcpus": "number of vCPUs",
    "cpu": "CPU model",
    "features": "CPU features",
    "memory": "memory in bytes",
}


NOT_COMPARED = {"1.0.EDX": 1 << 9 | 1 << 28, "80000001.0.ECX": 1 << 1}
"""Bits of CPUID that say nothing of the model.

APIC says what the guest has done: QEMU takes it back while a guest has its local APIC disabled
(``cpu_clear_apic_feature`` in hw/intc/apic.c). HTT and CmpLegacy say that there are several cores
or threads. Guests of all QEMUs find them then; but ``feature-words`` has them from 10.0 on alone,
which no more adds them when the guest asks (``cpu_x86_cpuid`` in target/i386/cpu.c).
"""


X86 = ("x86_64", "i386")
"""``target`` of a vCPU that has CPUID."""


async def identity_of(endpoint: Asked) -> Identity:
    """What a QEMU presents, asked once in its life, in two round trips. What it does not answer is
    left empty."""
    if endpoint.identity is None:
        endpoint.identity = await _ask(endpoint)
    return endpoint.identity


async def _ask(endpoint: Asked) -> Identity:
    machine, memory, vcpus = await asyncio.gather(
        _asked(endpoint, "qom-get", path="/machine", property="type"),
        _asked(endpoint, "query-memory-size-summary"),
        _asked(endpoint, "query-cpus-fast"),
    )
    cpu = features = ""
    vcpus = vcpus if isinstance(vcpus, list) else []
    if vcpus and isinstance(vcpus[0], dict):
        path = vcpus[0].get("qom-path")
        names = ["type"]
        if vcpus[0].get("target") in X86:
            names.append("feature-words")
        asked = (_asked(endpoint, "qom-get", path=path, property=name) for name in names)
        kind, *words = await asyncio.gather(*asked)
        cpu, features = _text(kind), "".join(map(feature_text, words))
    base = memory.get("base-memory") if isinstance(memory, dict) else None
    return Identity(
        machine=_text(machine).removesuffix("-machine"),
        vcpus=len(vcpus),
        cpu=cpu,
        features=features,
        memory=base if isinstance(base, int) else 0,
    )


def difference(source: Identity, destination: Identity) -> str:
    """What differs, in words; empty where nothing does. What one did not say does not differ."""
    found = []
    for item in fields(Identity):
        ours, theirs = getattr(source, item.name), getattr(destination, item.name)
        if ours and theirs and ours != theirs:
            if item.name == "features":
                found.append(f"{WORDS[item.name]} differ: {_feature_difference(ours, theirs)}")
            else:
                found.append(
                    f"{WORDS[item.name]} {ours} on the source, {theirs} on the destination"
                )
    return "; ".join(found)


async def _asked(endpoint: Asked, command: str, **arguments: object) -> Any:
    try:
        return await endpoint.execute(command, arguments or None)
    except MonitorError:
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def feature_text(words: Any) -> str:
    """``LEAF.INDEX.REGISTER=VALUE …`` in a fixed order.

    Args:
        words: ``feature-words`` of an x86 vCPU.
    """
    found = []
    for word in words if isinstance(words, list) else ():
        if isinstance(word, dict) and word.get("features"):
            leaf, index = word.get("cpuid-input-eax", 0), word.get("cpuid-input-ecx", 0)
            where = f"{leaf:x}.{index:x}.{word.get('cpuid-register', '')}"
            fixed = word["features"] & ~NOT_COMPARED.get(where, 0)
            found.append(f"{where}={fixed:#x}")
    return " ".join(sorted(found))


def _feature_difference(source: str, destination: str) -> str:
    ours = dict(item.split("=") for item in source.split())
    theirs = dict(item.split("=") for item in destination.split())
    different = [
        f"CPUID {name} {ours.get(name, '0')} and {theirs.get(name, '0')}"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]
    return ", ".join(different)
