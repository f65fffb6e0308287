"""Cases whose guests migrate from one host to another: on which two, and how. Pure.

Each host must be able to run the case alone, under the same accelerator; then the QEMUs of both are
settled as two QEMUs of one host are (:mod:`.migration_sides`).
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from matrix.inventory import Binary, Inventory
from matrix.migrating import OTHER_HOST, Fault, Migration, Strategy, Transport
from matrix.model import EACH_HOST, Accelerator, Case
from matrix.plan.decisions import LOCAL, Broken, Decision, Run, Skip
from matrix.plan.emulators import emulator_architecture
from matrix.plan.migration_plan import Planned
from matrix.plan.migration_sides import settle_sides
from matrix.scenario.compatibility import stays_on_one_host
from matrix.verdicts import SkipCause

Decide = Callable[[Case, Inventory], Decision]
"""What one host can do with a case alone."""


def decide_pairs(
    case: Case,
    hosts: Mapping[str, Inventory],
    called: Mapping[str, Collection[str]],
    decide: Decide,
) -> dict[str, Decision]:
    """What is decided of a case for each two hosts that it may go between.

    Args:
        case: one whose migration names a host.
        hosts: name → inventory.
        called: name → what each may be called by.
        decide: what one host can do.
    """
    migration = case.migration
    assert migration is not None  # noqa: S101 - the caller's condition
    pairs = {
        f"{source} → {other}": decide_between(case, source, other, hosts, decide)
        for source, other in _pairs(case.variant.host, migration.host, hosts, called)
    }
    return pairs or {"": Skip(case, _why_no_pair(case, migration, hosts), SkipCause.HOST)}


def decide_between(
    case: Case, source: str, other: str, hosts: Mapping[str, Inventory], decide: Decide
) -> Decision:
    """What is decided of a case that starts on ``source`` and goes to ``other`` and back."""
    assert case.migration is not None  # noqa: S101 - the caller's condition
    migration, notes = _that_crosses(case.migration)
    if migration is None:
        return Skip(case, "; ".join(notes), SkipCause.UNSUPPORTED)
    case = replace(case, migration=migration)
    alone = _alone(case, source, other, hosts, decide)
    if not isinstance(alone, list):
        return alone
    accelerator, why = _common_accelerator(alone)
    if accelerator is not alone[0].accelerator:
        # The tests, the machine and the CPU model may be others then.
        forced = _with_accelerator(case, accelerator)
        alone = _alone(forced, source, other, hosts, decide)
        if not isinstance(alone, list):
            return replace(alone, case=case)
    first, *others = alone
    binaries = [_binary(run, hosts[run.host], accelerator) for run in alone]
    kernels = [hosts[name].host for name in (source, other)]
    settled = settle_sides(case, binaries[0], binaries[1:], accelerator, kernels, notes)
    if not isinstance(settled, Planned):
        return settled
    return replace(
        first,
        case=replace(case, migration=settled.migration),
        accelerator=accelerator,
        why=why or first.why,
        memory=2 * max(run.memory for run in alone),
        huge_pages=max(run.huge_pages for run in alone),
        kvm_doubt=next(filter(None, (run.kvm_doubt for run in (first, *others))), ""),
        notes=(*first.notes, *settled.notes),
        host=source,
        gang=(other,),
    )


def _pairs(
    named: str | None,
    wanted: str,
    hosts: Mapping[str, Inventory],
    called: Mapping[str, Collection[str]],
) -> Iterator[tuple[str, str]]:
    """Each source with each other host: those that the axis ``host`` and the migration name."""
    for source in hosts:
        if named not in (None, EACH_HOST) and named not in called.get(source, ()):
            continue
        for other in hosts:
            if other != source and (wanted == OTHER_HOST or wanted in called.get(other, ())):
                yield source, other


def _why_no_pair(case: Case, migration: Migration, hosts: Mapping[str, Inventory]) -> str:
    if [*hosts] == [LOCAL]:
        return "its guest migrates to another host, and there is this machine alone: see --fleet"
    there = f"the run has {', '.join(hosts)}"
    begins = f" from {case.variant.host}" if case.variant.host not in (None, EACH_HOST) else ""
    to = "another one" if migration.host == OTHER_HOST else migration.host
    return f"its guest migrates{begins} to {to}, and {there}"


def _that_crosses(migration: Migration) -> tuple[Migration | None, tuple[str, ...]]:
    """The migration without what stays on one host, and what that is, in words; None where nothing
    is left."""
    lost: dict[str, None] = {}

    def crosses(value: Strategy | Transport | Fault, kind: str) -> bool:
        if not stays_on_one_host(value):
            return True
        lost[f"{kind} {value.value!r} is within one host only"] = None
        return False

    strategies = tuple(each for each in migration.strategies if crosses(each, "strategy"))
    transports = tuple(each for each in migration.transports if crosses(each, "transport"))
    faults = tuple(each for each in migration.faults if crosses(each, "fault"))
    if not strategies or not transports or (migration.faults and not faults):
        return None, tuple(lost)
    left = replace(migration, strategies=strategies, transports=transports, faults=faults)
    return left, tuple(lost)


def _alone(
    case: Case, source: str, other: str, hosts: Mapping[str, Inventory], decide: Decide
) -> list[Run] | Skip | Broken:
    """The case on its source, and on the other host by each QEMU that it may go to; or why it
    cannot be run on one of the two."""
    assert case.migration is not None  # noqa: S101 - the caller's condition
    own = case.variant.qemu
    sides = [(source, own), *((other, name) for name in case.migration.destinations or (own,))]
    runs = []
    for host, qemu in sides:
        variant = replace(case.variant, qemu=qemu)
        decision = decide(replace(case, migration=None, variant=variant), hosts[host])
        if not isinstance(decision, Run):
            reason = f"not on {host}: {decision.reason}"
            return replace(decision, case=case, reason=reason)
        runs.append(replace(decision, host=host))
    return runs


def _common_accelerator(alone: list[Run]) -> tuple[Accelerator, str]:
    """What all of them have, and why that is not the first one's own."""
    for run in alone:
        if run.accelerator is not alone[0].accelerator:
            slow = run if run.accelerator is Accelerator.TCG else alone[0]
            return Accelerator.TCG, f"no KVM on {slow.host}: {slow.why}"
    return alone[0].accelerator, ""


def _with_accelerator(case: Case, accelerator: Accelerator) -> Case:
    return replace(case, variant=replace(case.variant, accel=accelerator))


def _binary(run: Run, inventory: Inventory, accelerator: Accelerator) -> Binary:
    variant = run.case.variant
    emulator = emulator_architecture(variant.arch, accelerator, inventory)
    binary = inventory.binary(variant.qemu, emulator)
    assert binary is not None  # noqa: S101 - it was decided that it runs there
    return binary
