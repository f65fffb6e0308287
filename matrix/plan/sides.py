"""The QEMUs of a case that is migrated: where it may go, and the machine that all build. Pure."""

from dataclasses import replace

from matrix.inventory import Binary, Inventory, KvmState
from matrix.migrating import NEWEST_COMMON
from matrix.model import Accelerator, Case, SkipCause
from matrix.plan.command import cpu_of, machine_of
from matrix.plan.common_machine import CommonMachine, is_versioned, newest_common
from matrix.plan.decisions import Skip
from matrix.plan.emulators import chosen_machine, emulator_architecture, refused
from matrix.plan.machines import FAMILIES
from matrix.plan.migration import Planned, plan_migration
from matrix.plan.properties import machine_flaw


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
    destinations: list[Binary] = []
    lost: list[Skip] = []
    for qemu in migration.destinations:
        found = _destination(case, qemu, accelerator, inventory)
        if isinstance(found, Skip):
            lost.append(replace(found, reason=f"not to QEMU {qemu}: {found.reason}"))
        else:
            destinations.append(found)
    reasons = [skip.reason for skip in lost]
    if lost and not destinations:
        return Skip(case, "; ".join(reasons), lost[0].cause)
    common = _common_machine(case, tuple(dict.fromkeys((binary, *destinations))))
    if common.problem:
        return Skip(case, common.problem, SkipCause.UNSUPPORTED)
    settled = replace(case, migration=replace(migration, machine=common.machine))
    for side in (binary, *destinations) if common.machine and chosen_machine(case) else ():
        # The common type may have other properties than the one that was asked for.
        if flaw := machine_flaw(common.machine, side):
            return Skip(case, flaw.told_of(side), SkipCause.UNSUPPORTED)
    notes = [*reasons, *filter(None, (common.note,))]
    planned = plan_migration(settled, accelerator, inventory.host, binary, destinations, notes)
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


def _common_machine(case: Case, binaries: tuple[Binary, ...]) -> CommonMachine:
    """The machine that all of them build; an alias is another one in each release of QEMU."""
    assert case.migration is not None  # noqa: S101 - the caller's condition
    asked = case.migration.machine
    machine = machine_of(case) or FAMILIES[case.variant.arch].default
    if not all(binary.machines for binary in binaries):
        return CommonMachine(asked if asked != NEWEST_COMMON else "")
    if asked == NEWEST_COMMON or (not asked and len(binaries) > 1 and not is_versioned(machine)):
        return newest_common(machine, binaries)
    return CommonMachine(asked)
