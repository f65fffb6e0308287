"""Machines, CPU models and properties of a scenario that no QEMU of a run takes. Pure.

What only some of them take is a skip there (:mod:`.emulators`). What none takes is a typo, or asks
for what no scenario may have: a run that skipped it everywhere would look green.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from matrix.inventory import Binary, Inventory
from matrix.migrating import NEWEST_COMMON
from matrix.model import Accelerator, Architecture, Case, Target
from matrix.plan.emulators import emulator_architecture
from matrix.plan.properties import ALLOWED, Flaw, cpu_flaw, machine_flaw
from matrix.scenario.wording import nearest

DESTINATION_MACHINE = "destination.machine"
"""Stands for ``migration: {destination: {machine: …}}`` among the axes."""


class Wrong(NamedTuple):
    """A value of a scenario that no QEMU of the run takes: where, what, what would be right."""

    scenario: str
    axis: str
    """``machine``, ``cpu`` or :data:`DESTINATION_MACHINE`."""
    value: str
    message: str
    allowed: str


def wrong_values(cases: Iterable[Case], hosts: Collection[Inventory]) -> Iterator[Wrong]:
    """Every such value of the cases that the scenario itself does not skip, once.

    Emulators that are not there, or did not say what they know, decide nothing.
    """
    used: dict[tuple[str, Architecture, str, str], None] = {}
    qemus: dict[Architecture, dict[str, None]] = {}
    for case in cases:
        variant, migration = case.variant, case.migration
        if case.excluded or case.test.unsupported or case.build.target is not Target.QEMU:
            continue
        of_arch = qemus.setdefault(variant.arch, {})
        of_arch[variant.qemu] = None
        values = {"machine": variant.machine, "cpu": variant.cpu}
        if migration is not None:
            of_arch.update(dict.fromkeys(migration.destinations))
            if migration.machine not in ("", NEWEST_COMMON):
                values = {DESTINATION_MACHINE: migration.machine, "cpu": variant.cpu}
        for axis, value in values.items():
            if value is not None:
                used[case.scenario, variant.arch, axis, value] = None
    for scenario, architecture, axis, value in used:
        of_arch = qemus[architecture]
        binaries = [b for host in hosts for b in _emulators(architecture, of_arch, host)]
        if found := _judged(axis, value, binaries):
            yield Wrong(scenario, axis, value, *found)


def _emulators(
    architecture: Architecture, qemus: Iterable[str], inventory: Inventory
) -> list[Binary]:
    with_kvm = emulator_architecture(architecture, Accelerator.KVM, inventory)
    found = (
        inventory.binary(qemu, emulator)
        for qemu in qemus
        for emulator in dict.fromkeys((architecture, with_kvm))
    )
    return [binary for binary in found if binary is not None]


def _judged(axis: str, value: str, binaries: Sequence[Binary]) -> tuple[str, str] | None:
    """What is wrong with a value for all of the binaries, and what would be right."""
    judge = cpu_flaw if axis == "cpu" else machine_flaw
    flaws = [judge(value, binary) for binary in binaries]
    kept = [flaw for flaw in flaws if flaw is not None]
    if not kept or len(kept) < len(flaws) or any(flaw.unasked for flaw in kept):
        return None
    for flaw in kept:
        if flaw.refused:
            return f"{axis}: {flaw.what}: {flaw.refused}", ALLOWED
    versions = dict.fromkeys(".".join(map(str, binary.version)) for binary in binaries)
    names = f"QEMU {', '.join(versions)} for {binaries[0].architecture.value}"
    return f"{axis}: no {kept[0].what} in {names}", _nearest(kept)


def _nearest(flaws: Sequence[Flaw]) -> str:
    match = nearest(flaws[0].word, dict.fromkeys(each for flaw in flaws for each in flaw.known))
    return f"did you mean {match!r}?" if match else "QEMU's help lists what there is"
