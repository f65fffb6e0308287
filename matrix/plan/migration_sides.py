"""The QEMUs of a case that is migrated: where it may go, and the machine that all build. Pure.

QEMU's versioned machine types (``pc-q35-7.2``, ``virt-10.0``) promise that every later QEMU builds
the same machine; an alias (``q35``) is a different one in each release. Migration needs one that
both sides build alike.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from matrix.inventory import Binary, Inventory, KvmState
from matrix.migrating import NEWEST_COMMON
from matrix.model import Accelerator, Case
from matrix.plan.command import cpu_of, machine_of
from matrix.plan.decisions import Skip
from matrix.plan.emulators import chosen_machine, emulator_architecture, refused
from matrix.plan.machines import FAMILIES
from matrix.plan.migration_plan import Planned, Side, called, plan_migration
from matrix.plan.properties import machine_flaw
from matrix.verdicts import SkipCause

_VERSIONED = re.compile(r"(?P<family>.+)-(?P<version>\d+(?:\.\d+)+)")
"""``pc-q35-4.0.1`` too."""


@dataclass(frozen=True, slots=True)
class CommonMachine:
    """The machine with its properties, or why there is none (``problem``)."""

    machine: str = ""
    problem: str = ""
    note: str = ""
    """What is to be minded about it, in words."""


def no_kvm_elsewhere(case: Case, inventory: Inventory) -> str:
    """Why a guest under KVM could not go to all of the QEMUs it is migrated to; else empty."""
    arch = case.variant.arch
    emulator = emulator_architecture(arch, Accelerator.KVM, inventory)
    for qemu in case.migration.destinations if case.migration else ():
        if qemu == case.variant.qemu or inventory.binary(qemu, emulator) is None:
            continue
        proof = inventory.proof(qemu, arch, cpu_of(case))
        if proof is None or proof.state is not KvmState.WORKS:
            why = proof.reason if proof is not None else "not tried"
            return f"KVM under QEMU {qemu}, where the guest is migrated to: {why}"
    return ""


def settle_migration(
    case: Case, binary: Binary, accelerator: Accelerator, inventory: Inventory
) -> Planned | Skip:
    """What the migration of ``case``, which starts under ``binary``, comes to; or why no hop is
    possible."""
    migration = case.migration
    assert migration is not None  # noqa: S101 - the caller's condition
    destinations: list[Side] = []
    lost: list[Skip] = []
    for qemu in migration.destinations:
        found = _destination(case, qemu, accelerator, inventory)
        if isinstance(found, Skip):
            lost.append(replace(found, reason=f"not to QEMU {qemu}: {found.reason}"))
        else:
            destinations.append(Side(found, inventory.host))
    reasons = [skip.reason for skip in lost]
    if lost and not destinations:
        return Skip(case, "; ".join(reasons), lost[0].cause)
    return settle_sides(case, Side(binary, inventory.host), destinations, accelerator, reasons)


def settle_sides(
    case: Case,
    source: Side,
    destinations: Sequence[Side],
    accelerator: Accelerator,
    reasons: Sequence[str],
) -> Planned | Skip:
    """What the migration of ``case`` comes to from ``source`` to ``destinations``, which are there.

    Args:
        case: one that is to be migrated.
        source: what starts the guest.
        destinations: the source itself where empty.
        accelerator: ``kvm`` or ``tcg``.
        reasons: what was lost before.
    """
    assert case.migration is not None  # noqa: S101 - the caller's condition
    migration = case.migration
    common = _common_machine(case, _different((source, *destinations)))
    if common.problem:
        return Skip(case, common.problem, SkipCause.UNSUPPORTED)
    settled = replace(case, migration=replace(migration, machine=common.machine))
    for side in (source, *destinations) if common.machine and chosen_machine(case) else ():
        # The common type may have other properties than the one that was asked for.
        if flaw := machine_flaw(common.machine, side.binary):
            reason = side.located(flaw.described_for(side.binary))
            return Skip(case, reason, SkipCause.UNSUPPORTED)
    notes = [*reasons, *filter(None, (common.note,))]
    planned = plan_migration(settled, accelerator, source, destinations, notes)
    if isinstance(planned, str):
        return Skip(case, planned, SkipCause.UNSUPPORTED)
    return planned


def _destination(
    case: Case, qemu: str, accelerator: Accelerator, inventory: Inventory
) -> Binary | Skip:
    """The binary of that installation, or why the guest cannot go there."""
    emulator = emulator_architecture(case.variant.arch, accelerator, inventory)
    binary = inventory.binary(qemu, emulator)
    if binary is None:
        return Skip(case, inventory.why_missing(qemu, emulator), SkipCause.NO_QEMU)
    if accelerator is Accelerator.KVM:
        proof = inventory.proof(qemu, case.variant.arch, cpu_of(case))
        if proof is None or proof.state is KvmState.UNAVAILABLE:
            why = f"no KVM: {proof.reason if proof is not None else 'not tried'}"
            return Skip(case, why, SkipCause.NO_ACCELERATOR)
    reason = refused(case, binary)
    return Skip(case, reason, SkipCause.UNSUPPORTED) if reason else binary


def _different(sides: Sequence[Side]) -> tuple[Side, ...]:
    """The first of those with the same binary, be it on another host."""
    found: dict[Binary, Side] = {}
    for side in sides:
        found.setdefault(side.binary, side)
    return tuple(found.values())


def _common_machine(case: Case, sides: Sequence[Side]) -> CommonMachine:
    """The machine that all of them build; an alias is another one in each release of QEMU."""
    assert case.migration is not None  # noqa: S101 - the caller's condition
    asked = case.migration.machine
    machine = machine_of(case) or FAMILIES[case.variant.arch].default
    if not all(side.binary.machines for side in sides):
        return CommonMachine(asked if asked != NEWEST_COMMON else "")
    if asked == NEWEST_COMMON or (not asked and len(sides) > 1 and not is_versioned(machine)):
        named = [side.named for side in sides]
        return newest_common(machine, [side.binary for side in sides], named)
    return CommonMachine(asked)


def is_versioned(machine: str) -> bool:
    """Whether ``TYPE[,OPTION…]`` is the same machine in every QEMU that has it."""
    return _VERSIONED.fullmatch(machine.partition(",")[0]) is not None


def newest_common(
    machine: str, binaries: Sequence[Binary], named: Sequence[str] = ()
) -> CommonMachine:
    """The newest versioned type of the family of ``machine`` that all binaries have.

    Args:
        machine: ``TYPE[,OPTION…]``; empty for the first binary's default. Options are kept.
        binaries: at least one; the first says which family an alias is of.
        named: what each is called in words; empty: ``QEMU VERSION``.
    """
    first = binaries[0]
    named = named or [called(binary) for binary in binaries]
    name, comma, options = machine.partition(",")
    entry = first.machine(name) if name else next((m for m in first.machines if m.is_default), None)
    if entry is None:
        what = f"machine {name!r}" if name else "default machine"
        return CommonMachine(problem=f"{named[0]} has no {what}")
    if name and is_versioned(name):
        return _same(machine, name, binaries, named)
    match = _VERSIONED.fullmatch(entry.name)
    if match is None:
        note = f"machine {entry.name!r} has no versions: nothing says that both build it alike"
        return _same(f"{entry.name}{comma}{options}", entry.name, binaries, named, note)
    family = match["family"]
    common = set.intersection(*(_versions(binary, family) for binary in binaries))
    if not common:
        return CommonMachine(
            problem=f"{' and '.join(named)} have no machine {family}-VERSION in common"
        )
    version = ".".join(map(str, max(common)))
    return CommonMachine(f"{family}-{version}{comma}{options}")


def _same(
    machine: str, name: str, binaries: Sequence[Binary], named: Sequence[str], note: str = ""
) -> CommonMachine:
    """``machine`` itself, if all binaries have a machine of that name."""
    for binary, what in zip(binaries, named, strict=True):
        if binary.machine(name) is None:
            return CommonMachine(problem=f"{what} has no machine {name!r}")
    return CommonMachine(machine, note=note if len(binaries) > 1 else "")


def _versions(binary: Binary, family: str) -> set[tuple[int, ...]]:
    matches = (_VERSIONED.fullmatch(machine.name) for machine in binary.machines)
    return {
        tuple(map(int, match["version"].split(".")))
        for match in matches
        if match is not None and match["family"] == family
    }
