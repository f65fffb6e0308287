"""Which machine type two QEMUs have in common: migration needs one that both build alike. Pure.

QEMU's versioned machine types (``pc-q35-7.2``, ``virt-10.0``) promise that every later QEMU builds
the same machine; an alias (``q35``) is a different one in each release.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from matrix.inventory import Binary

_VERSIONED = re.compile(r"(?P<family>.+)-(?P<version>\d+(?:\.\d+)+)")
"""``pc-q35-4.0.1`` too."""


@dataclass(frozen=True, slots=True)
class CommonMachine:
    """The machine with its properties, or why there is none (``problem``)."""

    machine: str = ""
    problem: str = ""
    note: str = ""
    """What is to be minded about it, in words."""


def is_versioned(machine: str) -> bool:
    """Whether ``TYPE[,OPTION…]`` is the same machine in every QEMU that has it."""
    return _VERSIONED.fullmatch(machine.partition(",")[0]) is not None


def newest_common(machine: str, binaries: Sequence[Binary]) -> CommonMachine:
    """The newest versioned type of the family of ``machine`` that all binaries have.

    Args:
        machine: ``TYPE[,OPTION…]``; empty for the first binary's default. Options are kept.
        binaries: at least one; the first says which family an alias is of.
    """
    first = binaries[0]
    name, comma, options = machine.partition(",")
    entry = first.machine(name) if name else next((m for m in first.machines if m.is_default), None)
    if entry is None:
        what = f"machine {name!r}" if name else "default machine"
        return CommonMachine(problem=f"{_named(first)} has no {what}")
    if name and is_versioned(name):
        return _same(machine, name, binaries)
    match = _VERSIONED.fullmatch(entry.name)
    if match is None:
        note = f"machine {entry.name!r} has no versions: nothing says that both build it alike"
        return _same(f"{entry.name}{comma}{options}", entry.name, binaries, note)
    family = match["family"]
    common = set.intersection(*(_versions(binary, family) for binary in binaries))
    if not common:
        names = " and ".join(_named(binary) for binary in binaries)
        return CommonMachine(problem=f"{names} have no machine {family}-VERSION in common")
    version = ".".join(map(str, max(common)))
    return CommonMachine(f"{family}-{version}{comma}{options}")


def _same(machine: str, name: str, binaries: Sequence[Binary], note: str = "") -> CommonMachine:
    """``machine`` itself, if all binaries have a machine of that name."""
    for binary in binaries:
        if binary.machine(name) is None:
            return CommonMachine(problem=f"{_named(binary)} has no machine {name!r}")
    return CommonMachine(machine, note=note if len(binaries) > 1 else "")


def _versions(binary: Binary, family: str) -> set[tuple[int, ...]]:
    matches = (_VERSIONED.fullmatch(machine.name) for machine in binary.machines)
    return {
        tuple(map(int, match["version"].split(".")))
        for match in matches
        if match is not None and match["family"] == family
    }


def _named(binary: Binary) -> str:
    return f"QEMU {'.'.join(map(str, binary.version))}"
