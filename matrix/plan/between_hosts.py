"""Cases whose guests migrate from one host to another: on which ones, and how. Pure.

Each host must be able to run the case alone, under the same accelerator; then the QEMUs of all are
settled as two QEMUs of one host are (:mod:`.migration_sides`).
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from matrix.inventory import Inventory
from matrix.migrating import OTHER_HOST, Fault, Migration, Strategy, Transport
from matrix.model import EACH_HOST, Accelerator, Case
from matrix.plan.command import cpu_of
from matrix.plan.decisions import LOCAL, Broken, Decision, Run, Skip
from matrix.plan.disks import WITHOUT_IT, has_disk
from matrix.plan.emulators import emulator_architecture
from matrix.plan.migration_plan import Planned, Side
from matrix.plan.migration_sides import settle_sides
from matrix.plan.same_qemu import different_versions, not_one_qemu
from matrix.scenario.compatibility import stays_on_one_host
from matrix.verdicts import SkipCause

OF_THE_HOST = frozenset({"host", "max"})
"""CPU models that are under KVM what the host has."""

Decide = Callable[[Case, Inventory], Decision]
"""What one host can do with a case alone."""


def decide_gangs(
    case: Case,
    hosts: Mapping[str, Inventory],
    called: Mapping[str, Collection[str]],
    decide: Decide,
    *,
    strict_qemu: bool,
) -> dict[str, Decision]:
    """What is decided of a case for all hosts, two or more at a time, that it may go between.

    Args:
        case: one whose migration names a host.
        hosts: name → inventory.
        called: name → what each may be called by.
        decide: what one host can do.
        strict_qemu: skip a case for hosts on which a QEMU of one name is not the same version.
    """
    migration = case.migration
    assert migration is not None  # noqa: S101 - the caller's condition
    gangs = {
        " → ".join((source, *others)): decide_between(
            case, source, others, hosts, decide, strict_qemu=strict_qemu
        )
        for source, others in _gangs(case.variant.host, migration, hosts, called)
    }
    return gangs or {"": Skip(case, _why_no_gang(case, migration, hosts), SkipCause.HOST)}


def decide_between(
    case: Case,
    source: str,
    others: tuple[str, ...],
    hosts: Mapping[str, Inventory],
    decide: Decide,
    *,
    strict_qemu: bool,
) -> Decision:
    """What is decided of a case that starts on ``source`` and goes to ``others`` and back."""
    assert case.migration is not None  # noqa: S101 - the caller's condition
    if has_disk(case):
        return Skip(case, f"not to another host: {WITHOUT_IT}", SkipCause.UNSUPPORTED)
    migration, notes = _that_crosses(case.migration)
    if migration is None:
        return Skip(case, "; ".join(notes), SkipCause.UNSUPPORTED)
    case = replace(case, migration=migration)
    alone = _alone(case, source, others, hosts, decide)
    if not isinstance(alone, _Alone):
        return alone
    accelerator, why = _common_accelerator(alone.runs)
    if accelerator is not alone.runs[0].accelerator:
        # The tests, the machine and the CPU model may be others then.
        forced = _with_accelerator(case, accelerator)
        alone = _alone(forced, source, others, hosts, decide)
        if not isinstance(alone, _Alone):
            return replace(alone, case=case)
    runs = alone.runs
    sides = [_side(run, hosts[run.host], accelerator) for run in runs]
    if reason := _other_cpus(runs, sides):
        return Skip(case, reason, SkipCause.UNSUPPORTED)
    told = _different_versions(sides)
    if told and strict_qemu:
        return not_one_qemu(case, told)
    settled = settle_sides(case, sides[0], sides[1:], accelerator, (*notes, *alone.lost, *told))
    if not isinstance(settled, Planned):
        return settled
    first = runs[0]
    return replace(
        first,
        case=replace(case, migration=settled.migration),
        accelerator=accelerator,
        why=why or first.why,
        memory=2 * max(run.memory for run in runs),
        huge_pages=max(run.huge_pages for run in runs),
        kvm_doubt=next(filter(None, (run.kvm_doubt for run in runs)), ""),
        notes=(*first.notes, *settled.notes),
        host=source,
        gang=others,
    )


def _gangs(
    named: str | None,
    migration: Migration,
    hosts: Mapping[str, Inventory],
    called: Mapping[str, Collection[str]],
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each source with so many of the other hosts, of those that the axis ``host`` and the
    migration name. Who follows whom is the hosts' order: all choices would be very many."""
    wanted, count = migration.host, migration.hosts - 1
    for source in hosts:
        if named not in (None, EACH_HOST) and named not in called.get(source, ()):
            continue
        after = [*hosts][[*hosts].index(source) + 1 :]
        others = [
            other
            for other in (*after, *hosts)[: len(hosts) - 1]
            if wanted == OTHER_HOST or wanted in called.get(other, ())
        ]
        if len(others) >= count:
            round_ = others + others
            starts = range(len(others) if len(others) > count else 1)
            yield from ((source, tuple(round_[start : start + count])) for start in starts)


def _why_no_gang(case: Case, migration: Migration, hosts: Mapping[str, Inventory]) -> str:
    if [*hosts] == [LOCAL]:
        return "its guest migrates to another host, and there is this machine alone: see --fleet"
    there = f"the run has {', '.join(hosts)}"
    begins = f" from {case.variant.host}" if case.variant.host not in (None, EACH_HOST) else ""
    to = "another one" if migration.host == OTHER_HOST else migration.host
    if migration.hosts > 2:
        to += f", between {migration.hosts} hosts"
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


@dataclass(frozen=True, slots=True)
class _Alone:
    """The case as each QEMU would run it that its guest may be on."""

    runs: list[Run]
    """The source's first."""
    lost: tuple[str, ...] = ()
    """QEMUs that it cannot go to, in words."""


def _alone(
    case: Case,
    source: str,
    others: tuple[str, ...],
    hosts: Mapping[str, Inventory],
    decide: Decide,
) -> _Alone | Skip | Broken:
    """The case on its source, and on each other host by each QEMU that it may go to there; or why
    it cannot be run on one of them."""
    assert case.migration is not None  # noqa: S101 - the caller's condition

    def on(host: str, qemu: str) -> Decision:
        variant = replace(case.variant, qemu=qemu)
        decision = decide(replace(case, migration=None, variant=variant), hosts[host])
        if isinstance(decision, Run):
            return replace(decision, host=host)
        reason = f"not on {host}: {decision.reason}"
        if qemu != own:
            reason = f"not to QEMU {qemu} on {host}: {decision.reason}"
        return replace(decision, case=case, reason=reason)

    own = case.variant.qemu
    first = on(source, own)
    if not isinstance(first, Run):
        return first
    kept, lost = [first], list[Skip]()
    # One that a host lacks is none of the others' either: each hop may go to any of them.
    for qemu in case.migration.destinations or (own,):
        there = [on(host, qemu) for host in others]
        for each in there:
            if isinstance(each, Broken):
                return each
        lost += [each for each in there if isinstance(each, Skip)]
        runs = [each for each in there if isinstance(each, Run)]
        kept += runs if len(runs) == len(others) else []
    reasons = tuple(dict.fromkeys(each.reason for each in lost))
    if len(kept) == 1:
        return replace(lost[0], reason="; ".join(reasons))
    return _Alone(kept, reasons)


def _common_accelerator(alone: list[Run]) -> tuple[Accelerator, str]:
    """What all of them have, and why that is not the first one's own."""
    for run in alone:
        if run.accelerator is not alone[0].accelerator:
            slow = run if run.accelerator is Accelerator.TCG else alone[0]
            return Accelerator.TCG, f"no KVM on {slow.host}: {slow.why}"
    return alone[0].accelerator, ""


def _with_accelerator(case: Case, accelerator: Accelerator) -> Case:
    return replace(case, variant=replace(case.variant, accel=accelerator))


def _side(run: Run, inventory: Inventory, accelerator: Accelerator) -> Side:
    variant = run.case.variant
    emulator = emulator_architecture(variant.arch, accelerator, inventory)
    binary = inventory.binary(variant.qemu, emulator)
    assert binary is not None  # noqa: S101 - it was decided that it runs there
    return Side(binary, inventory.host, run.host)


def _other_cpus(runs: list[Run], sides: list[Side]) -> str:
    """Why the guest would find another CPU on another host; empty where it would not."""
    models = [cpu_of(run.case).partition(",")[0] for run in runs]
    if runs[0].accelerator is not Accelerator.KVM or not OF_THE_HOST.intersection(models):
        return ""
    found = {side.host.cpu_model: side.where for side in reversed(sides) if side.host.cpu_model}
    if len(found) < 2:
        return ""
    told = " and ".join(f"{model} on {where}" for model, where in reversed(found.items()))
    return f"CPU model {models[0]!r} is that of the host: {told}"


def _different_versions(sides: list[Side]) -> tuple[str, ...]:
    named = ((side.binary.qemu, side.binary.version_text, side.where) for side in sides)
    return tuple(different_versions(named))
