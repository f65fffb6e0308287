"""What a case's migration comes to on this host: pools without what is lacking, or why none. Pure.

The combinations make sense already (:mod:`matrix.scenario.compatibility`); here the binaries of
both sides, the accelerator and the kernel are asked. What a pool loses is told, and an axis, which
is a pool of one, that loses its value makes the case a skip.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from matrix.inventory import Binary, Host
from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.model import Accelerator, Architecture, Case, MemoryBackend, Variant
from matrix.plan.command import needs_of
from matrix.plan.disks import disk_in_the_way
from matrix.plan.strategy_settings import RECIPES, lacking_parameter
from matrix.plan.strategy_settings import lacking as lacking_in
from matrix.scenario.compatibility import (
    END_A_WORKER,
    NEED_TWO_HOSTS,
    clash_of,
    for_variant,
    senseless_route,
)

SHARED_BACKENDS = (MemoryBackend.MEMFD, MemoryBackend.HUGEPAGES)
"""Memory that another process can map; without a backend given, it is what a case gets that needs
it."""
TAKES_MORE_VCPUS = frozenset(
    {Architecture.X86_64, Architecture.I386, Architecture.S390X, Architecture.MIPS64EL}
)
"""Architectures whose QEMU loads the state of one vCPU into a machine of two: 7.2 and 10.0, and all
but x86 in 11.1. No one misses a section that the stream does not have; the others have the number
of vCPUs in another device's section."""
NO_OTHER_MACHINE = frozenset({Architecture.MIPS64EL, Architecture.LOONGARCH64})
"""Architectures none of whose other machine types takes a case's command line: loongarch64 has one
type, and Malta's neighbours have other buses, other sizes of memory or no I6400."""


def called(binary: Binary) -> str:
    """``QEMU VERSION``."""
    return f"QEMU {'.'.join(map(str, binary.version))}"


@dataclass(frozen=True, slots=True)
class Side:
    """A QEMU that the guest may be on, and the kernel under it."""

    binary: Binary
    host: Host
    where: str = ""
    """Name of the host, where the guest goes from one to another."""

    @property
    def named(self) -> str:
        """``QEMU VERSION[ on HOST]``."""
        name = called(self.binary)
        return f"{name} on {self.where}" if self.where else name

    def located(self, reason: str) -> str:
        """A reason with the host that has it; empty where there is none."""
        return f"on {self.where}: {reason}" if self.where and reason else reason


@dataclass(frozen=True, slots=True)
class Planned:
    """What of a migration is possible, and what of it is not, in words."""

    migration: Migration
    notes: tuple[str, ...] = ()


def lacking(
    strategy: Strategy, transport: Transport | None, binary: Binary, accelerator: Accelerator
) -> str:
    """Why that binary cannot migrate so, in words; empty where it can.

    ``transport`` is None where it does not matter, as for strategies through a file.
    """
    if transport is not None and (reason := senseless_route(strategy, transport)):
        return reason
    if RECIPES[strategy].dirty_ring and accelerator is not Accelerator.KVM:
        return f"strategy {strategy.value!r} needs KVM, but the accelerator is {accelerator.value}"
    return lacking_in(strategy, binary)


def lacking_on_host(strategy: Strategy, host: Host) -> str:
    """Why that kernel cannot migrate so for this user, in words; empty where it can."""
    recipe = RECIPES[strategy]
    if recipe.userfaultfd and host.userfaultfd:
        return f"strategy {strategy.value!r}: {host.userfaultfd}"
    if recipe.dirty_ring and not host.kvm_dirty_ring:
        return (
            f"strategy {strategy.value!r} needs a KVM with dirty rings, which this kernel's lacks"
        )
    return ""


def plan_migration(
    case: Case,
    accelerator: Accelerator,
    source: Side,
    destinations: Sequence[Side],
    notes: Sequence[str] = (),
) -> Planned | str:
    """What ``case.migration`` comes to, or why no hop is possible.

    Args:
        case: one that is to be migrated; its machine is settled (:mod:`.migration_sides`).
        accelerator: ``kvm`` or ``tcg``.
        source: what starts the guest.
        destinations: those it is migrated to; the source itself where empty.
        notes: what was lost before.
    """
    migration = case.migration
    assert migration is not None  # noqa: S101 - the caller's condition
    no_faults = _no_faults(case, migration)
    if no_faults:
        others = tuple(fault for fault in migration.faults if fault not in no_faults)
        reasons = tuple(no_faults.values())
        if not others:
            return "; ".join(reasons)
        migration, notes = replace(migration, faults=others), (*notes, *reasons)
    sides = list(dict.fromkeys((source, *destinations)))

    def why_not(strategy: Strategy, side: Side) -> str:
        in_the_way = _memory_in_the_way(strategy, case.variant.backend)
        return (
            in_the_way
            or disk_in_the_way(case, strategy)
            or side.located(
                lacking_on_host(strategy, side.host)
                or lacking(strategy, None, side.binary, accelerator)
            )
        )

    kept, lost = _usable(migration.strategies, sides, why_not)
    if not kept:
        return "; ".join(lost)
    if reason := _no_route(kept, sides, why_not):
        return reason
    left = replace(
        migration,
        strategies=kept,
        destinations=tuple(dict.fromkeys(side.binary.qemu for side in destinations)),
    )
    return _what_fits(left, case.variant, sides, (*notes, *lost), lost)


def _what_fits(
    left: Migration,
    variant: Variant,
    sides: Sequence[Side],
    notes: Sequence[str],
    lost: Sequence[str],
) -> Planned | str:
    """``left``, whose strategies can be done, without what only lost ones went with; or why nothing
    is left. ``notes`` are all that were taken so far, ``lost`` those of strategies."""
    fitting = for_variant(left, variant)
    if not fitting.strategies:
        return "; ".join((*lost, clash_of(left, variant).message))
    for name, _ in fitting.parameters:
        for side in sides:
            if reason := side.located(lacking_parameter(name, side.binary)):
                return reason
    faults = (fault.value for fault in left.faults if fault not in fitting.faults)
    unfit = (f"fault {fault!r} fits none of the strategies that are left" for fault in faults)
    return Planned(fitting, (*notes, *unfit))


def _no_faults(case: Case, migration: Migration) -> dict[Fault, str]:
    """The faults that no hop can have, each with the reason."""
    found = {}
    if reason := _no_vcpu_mismatch(case, migration):
        found[Fault.VCPU_MISMATCH] = reason
    arch = case.variant.arch
    if Fault.MACHINE_MISMATCH in migration.faults and arch in NO_OTHER_MACHINE:
        found[Fault.MACHINE_MISMATCH] = (
            f"fault 'machine-mismatch' needs another machine type that takes the guest, "
            f"and {arch.value} has none"
        )
    for fault in migration.faults:
        if fault in NEED_TWO_HOSTS and not migration.host:
            found[fault] = f"fault {fault.value!r} needs two hosts, and the guest stays on one"
        elif fault in END_A_WORKER and not case.settings.alone:
            found[fault] = (
                f"fault {fault.value!r} ends what else runs on its hosts: "
                "it needs run: {alone: true}"
            )
    return found


def _no_vcpu_mismatch(case: Case, migration: Migration) -> str:
    """Why the destination cannot have another number of vCPUs that QEMU refuses; empty else."""
    if Fault.VCPU_MISMATCH not in migration.faults or needs_of(case).vcpus > 1:
        return ""
    arch = case.variant.arch
    if arch not in TAKES_MORE_VCPUS:
        return ""
    return (
        f"fault 'vcpu-mismatch' needs a guest of at least 2 vCPUs on {arch.value}: "
        f"QEMU migrates one of 1 vCPU to a destination of 2"
    )


WhyNot = Callable[[Strategy, Side], str]


def _usable(
    strategies: Sequence[Strategy], sides: Sequence[Side], why_not: WhyNot
) -> tuple[tuple[Strategy, ...], list[str]]:
    """The strategies that some hop can have, and why the others have none."""
    kept, lost = [], []
    for strategy in strategies:
        if any(not any(why_not(strategy, side) for side in hop) for hop in _hops(sides)):
            kept.append(strategy)
            continue
        reasons = dict.fromkeys(filter(None, (why_not(strategy, side) for side in sides)))
        lost.append(", ".join(reasons))
    return tuple(kept), list(dict.fromkeys(lost))


def _no_route(strategies: Sequence[Strategy], sides: Sequence[Side], why_not: WhyNot) -> str:
    """Why there is no way from one of the sides to another; empty where there is one."""
    for source, destination in _hops(sides):
        reasons = [
            why_not(strategy, source) or why_not(strategy, destination) for strategy in strategies
        ]
        if all(reasons):
            way = f"from QEMU {source.binary.qemu} to {destination.binary.qemu}"
            return f"no strategy {way}: {'; '.join(dict.fromkeys(reasons))}"
    return ""


def _hops(sides: Sequence[Side]) -> Iterator[tuple[Side, Side]]:
    """The hops that there may be: always to another QEMU, where there is one, and between hosts
    always to another host."""
    if len(sides) == 1:
        yield sides[0], sides[0]
    for source, destination in permutations(sides, 2):
        if not source.where or source.where != destination.where:
            yield source, destination


def _memory_in_the_way(strategy: Strategy, backend: MemoryBackend | None) -> str:
    if not RECIPES[strategy].shared_memory or backend is None or backend in SHARED_BACKENDS:
        return ""
    can = " or ".join(one.value for one in SHARED_BACKENDS)
    return f"strategy {strategy.value!r} needs shared memory: backend {can}, not {backend.value}"
