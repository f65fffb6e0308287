"""Reads the text of the human monitor's ``info registers -a`` for all architectures.

The text has one part per vCPU that starts with the line ``CPU#N``; what follows is printed by
``cpu_dump_state`` of each target (QEMU's ``target/*/cpu.c``, ``target/*/*helper.c``).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrix.patterns import late

_HEADER = late(r"^CPU#(\d+)\s*$", re.MULTILINE)
_PROGRAM_COUNTER = late(
    r"""
      ^[ER]IP=(?P<x86>[0-9a-f]+)
    | ^\ ?PC=(?P<aarch64>[0-9a-f]+) # and loongarch64
    | \bR15=(?P<arm>[0-9a-f]{8})\b
    | ^NIP\ (?P<ppc>[0-9a-f]+)
    | ^PSW=mask\ (?P<mask>[0-9a-f]+)\ addr\ (?P<s390x>[0-9a-f]+)
    | ^\ pc\ +(?P<riscv>[0-9a-f]+)
    | ^pc=0x(?P<mips>[0-9a-f]+)
    """,
    re.MULTILINE | re.VERBOSE,
)
_X86_CODE_BASE = late(r"^CS =[0-9a-f]{4} ([0-9a-f]+)", re.MULTILINE)
_X86_HALTED = late(r"^[ER]IP=.*\bHLT=1\b", re.MULTILINE)
_S390X_WAIT = 1 << (63 - 14)
"""Bit 14 of the PSW (z/Architecture Principles of Operation, Program-Status-Word Format)."""
_CLOCKS = late(
    r"^TB .*$|\b(?:mcycle|minstret|cycle|instret|time|m?hpmcounter\d+)h? +[0-9a-f]+", re.MULTILINE
)
"""What runs on by itself: ppc's time base and decrementer, riscv's counters (shown by 11.1)."""


@dataclass(frozen=True, slots=True)
class VcpuRegisters:
    """What the registers of one vCPU say about it."""

    index: int
    program_counter: int | None
    """A linear address on x86; None where the text has none that we know."""
    halted: bool
    """The registers themselves say that it waits for an interrupt (x86, s390x)."""


def parse(text: str) -> tuple[VcpuRegisters, ...]:
    """The vCPUs in ``text``, in its order; empty for a text of another kind. Raises nothing."""
    headers = list(_HEADER.finditer(text))
    ends = [header.start() for header in headers] + [len(text)]
    return tuple(
        _parse_vcpu(int(header[1]), text[header.end() : end])
        for header, end in zip(headers, ends[1:], strict=True)
    )


def fingerprint(text: str) -> int:
    """A number that is the same for the same registers, clocks and counters left out."""
    return hash(_CLOCKS.sub("", text))


def describe(vcpus: Sequence[VcpuRegisters], states: Mapping[int, str] | None = None) -> str:
    """In words where each vCPU is: ``vCPU 0 halted at pc 0x40080124, vCPUs 1-3 at pc 0x40080200``.

    ``states`` has words for vCPUs by index, for those that are not halted by their registers.
    """
    places: dict[str, list[int]] = {}
    for vcpu in vcpus:
        state = "halted" if vcpu.halted else (states or {}).get(vcpu.index, "")
        counter = vcpu.program_counter
        at = "at an unknown pc" if counter is None else f"at pc 0x{counter:x}"
        places.setdefault(f"{state} {at}".strip(), []).append(vcpu.index)
    return ", ".join(f"{_name(indices)} {place}" for place, indices in places.items())


def _name(indices: Sequence[int]) -> str:
    if len(indices) == 1:
        return f"vCPU {indices[0]}"
    if list(indices) == list(range(indices[0], indices[-1] + 1)):
        return f"vCPUs {indices[0]}-{indices[-1]}"
    return "vCPUs " + "+".join(str(index) for index in indices)


def _parse_vcpu(index: int, text: str) -> VcpuRegisters:
    found = _PROGRAM_COUNTER.search(text)
    if found is None:
        return VcpuRegisters(index, None, halted=False)
    counter = int(found[found.lastgroup or 0], 16)
    halted = False
    if found["x86"]:
        base = _X86_CODE_BASE.search(text)
        counter += int(base[1], 16) if base else 0  # not 0 in real mode
        halted = _X86_HALTED.search(text) is not None
    elif found["s390x"]:
        halted = bool(int(found["mask"], 16) & _S390X_WAIT)
    return VcpuRegisters(index, counter, halted)
