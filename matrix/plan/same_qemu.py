"""Whether the name of an installation means one QEMU on all hosts that a case may run on. Pure.

QEMU is each host's own: what is called the same may be two versions, and a case that passes on one
host and fails on another says little then.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from matrix.inventory import Inventory
from matrix.model import Case
from matrix.plan.decisions import Decision, Run, Skip
from matrix.plan.emulators import emulator_architecture
from matrix.verdicts import SkipCause

Named = tuple[str, str, str]
"""An installation's name, its version in words, and the host that it is on."""


def different_versions(named: Iterable[Named]) -> Iterator[str]:
    """What is said of names that are different versions on different hosts."""
    by_name: dict[str, dict[str, str]] = {}
    for name, version, host in sorted(named, key=lambda each: each[2]):  # the same from each host
        by_name.setdefault(name, {}).setdefault(version, host)
    for name, versions in by_name.items():
        if len(versions) > 1:
            told = " and ".join(f"{version} on {host}" for version, host in versions.items())
            yield f"QEMU {name!r} is {told}"


def told_apart(
    decisions: Mapping[str, Decision], hosts: Mapping[str, Inventory], *, strict: bool
) -> Mapping[str, Decision]:
    """What is decided of a case for each host that it may go to, with a note where its QEMU is not
    the same on all of them.

    Args:
        decisions: those of hosts where it would run alike, or of which none runs it.
        hosts: name → inventory.
        strict: the case is skipped where its QEMU is not the same.
    """
    runs = {host: each for host, each in decisions.items() if isinstance(each, Run)}
    told = tuple(different_versions(_named(runs, hosts))) if len(runs) > 1 else ()
    if not told:
        return decisions
    if strict:
        case = next(iter(runs.values())).case
        return {"": not_one_qemu(case, told)}
    return {host: replace(run, notes=(*run.notes, *told)) for host, run in runs.items()}


def not_one_qemu(case: Case, told: Iterable[str]) -> Skip:
    """The case as ``--strict-qemu`` has it."""
    reason = f"{'; '.join(told)}, and --strict-qemu wants one"
    return Skip(case, reason, SkipCause.NO_QEMU)


def _named(runs: Mapping[str, Run], hosts: Mapping[str, Inventory]) -> Iterator[Named]:
    for host, run in runs.items():
        variant, inventory = run.case.variant, hosts[host]
        emulator = emulator_architecture(variant.arch, run.accelerator, inventory)
        binary = inventory.binary(variant.qemu, emulator)
        if binary is not None:  # a native test has none
            yield binary.qemu, binary.version_text, host
