"""What is explored: a planned case, what it may be put through, and how one of its lives goes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from matrix.errors import HostError
from matrix.explore.failure import Failure, Invariant
from matrix.explore.hotplug import hotplug_of
from matrix.explore.life import HOP_SECONDS, Ended, Lives
from matrix.explore.step import Operation, Steps
from matrix.explore.world import Pair, Way, World
from matrix.hosts.local.launch import make_launch
from matrix.hosts.local.migrated_case import emulator_of
from matrix.hosts.local.starting import Starting
from matrix.inventory import Binary, Inventory
from matrix.migrating import PROOF, Migration
from matrix.migration.endpoint import Emulator
from matrix.migration.faults.injectors import injector_for
from matrix.migration.hop_runner import fitted
from matrix.model import Launch
from matrix.plan.decisions import LOCAL, Run
from matrix.plan.disks import has_disk
from matrix.plan.emulators import emulator_architecture
from matrix.plan.strategy_settings import lacking
from matrix.results.files import host_errors
from matrix.scenario.compatibility import routes, senseless_fault
from matrix.suites.registry import suite_of
from matrix.verdict.deciding import Evidence, decide_attempt
from matrix.verdicts import Verdict
from matrix.vm.machine import Limits

START_SECONDS = 60.0
JOBS_SINCE = (6, 0)
"""QEMU with snapshots as jobs."""
REMEMBERING_SINCE = (10, 0)
"""QEMU that takes the error of an outgoing migration for one of the snapshot that it loads: at its
end ``qemu_loadvm_thread_pool_wait`` in migration/savevm.c asks ``migrate_has_error``. It says
``Error -22 while loading VM state`` (10.0.2), ``Error while loading vmstate`` (11.1.3)."""
LENDING = ("virtio-balloon", "virtio-mem")
"""Devices by which a guest lends memory to its host: it checks at each hop that it was asked for
some, which an exploration does not."""
NETWORK = "virtio-net"
"""Cards whose guest has a driver for them: it sets the buses up, so that what is plugged in
beside them waits for it to let go, and frames in flight do not go back with a snapshot."""
NO_REBOOT = ("-no-reboot", "--no-reboot")


def why_not(decision: Run) -> str:
    """Why that case cannot be explored, in words; empty where it can."""
    case = decision.case
    if decision.host != LOCAL:
        return f"it runs in the host {decision.host}, and guests are explored on this machine"
    if case.migration is None:
        return "it is not migrated: the scenario has no 'migration'"
    if PROOF not in case.test.groups:
        return f"its guest does not prove its memory (group {PROOF}), as ram-integrity does"
    if has_disk(case):
        return "its guest has a disk, which does not go back with the snapshots of an exploration"
    if any(NETWORK in word for word in case.test.qemu_params):
        return "its guest has network cards, whose frames and slots an exploration does not follow"
    lent = [name for name in LENDING if any(name in word for word in case.test.qemu_params)]
    if lent:
        return f"its guest has {' and '.join(lent)}, whose sizes an exploration does not follow"
    return ""


NO_REFUSALS: Mapping[Pair, str] = {}


def places(decision: Run) -> tuple[str, ...]:
    """Names of the QEMUs that the case's guest may be at, that of the first one first."""
    destinations = decision.case.migration.destinations if decision.case.migration else ()
    return tuple(dict.fromkeys((decision.case.variant.qemu, *destinations)))


def world_of(
    decision: Run, inventory: Inventory, refused: Mapping[Pair, str] = NO_REFUSALS
) -> World:
    """What the case may be put through: the pools of its migration, as far as the binaries go.

    ``refused`` are pairs of its QEMUs that it does not go between, and why.
    """
    migration = decision.case.migration or Migration()
    names = places(decision)
    emulator = emulator_architecture(decision.case.variant.arch, decision.accelerator, inventory)
    binaries = {name: inventory.binary(name, emulator) for name in names}
    ways, parameters = {}, {}
    for source, destination in product(names, names):
        if (source, destination) in refused:
            continue
        sides = [side for name in (source, destination) if (side := binaries[name]) is not None]
        found = [
            route
            for route in routes(migration)
            if not any(lacking(route.strategy, side) for side in sides)
        ]
        ways[source, destination] = tuple(
            Way(route, fault)
            for route in found
            for fault in (None, *migration.faults)
            if fault is None or not senseless_fault(fault, route)
        )
        known = [frozenset(side.migration_parameters) for side in sides]
        parameters[source, destination] = frozenset.intersection(*known) if known else frozenset()
    return World(
        decision.case.variant.arch.value,
        names[0],
        ways,
        parameters,
        impossible=impossible(side for side in binaries.values() if side is not None),
        remembering=frozenset(
            name
            for name, side in binaries.items()
            if side is not None and side.version >= REMEMBERING_SINCE
        ),
        refused=refused,
        lacking=(
            *decision.notes,
            *_lacking(migration, [side for side in binaries.values() if side is not None]),
        ),
    )


def _lacking(migration: Migration, binaries: Sequence[Binary]) -> tuple[str, ...]:
    """Strategies of its pool that one of them does not have, each with the reason."""
    strategies = dict.fromkeys(route.strategy for route in routes(migration))
    found = [(each, lacking(each, side)) for each in strategies for side in binaries]
    return tuple(dict.fromkeys(f"hop by {each.value}: {why}" for each, why in found if why))


def impossible(binaries: Iterable[Binary]) -> Mapping[Operation, str]:
    """What one of them is too old for, and why."""
    old = [side for side in binaries if side.version < JOBS_SINCE]
    if not old:
        return {}
    names = ", ".join(side.qemu for side in old)
    why = f"before QEMU 6.0 there is no snapshot-save ({names})"
    return dict.fromkeys((Operation.SAVE, Operation.LOAD), why)


def _that_resets(launch: Launch) -> Launch:
    """Not ended by a reset. SeaBIOS answers the monitor's with one of its own, so that it is not
    enough to say ``set-action reboot=reset`` for that one."""
    return replace(launch, argv=tuple(word for word in launch.argv if word not in NO_REBOOT))


@dataclass(frozen=True, slots=True)
class Subject:
    """A case that is explored."""

    decision: Run
    inventory: Inventory
    world: World
    lives: Lives

    @classmethod
    async def make(
        cls,
        decision: Run,
        inventory: Inventory,
        folder: Path,
        refused: Mapping[Pair, str] = NO_REFUSALS,
    ) -> "Subject":
        """Ready to live; ``folder`` is new, and holds what its QEMUs are started with, ``refused``
        is as for :func:`world_of`.

        Raises:
            SuiteError, HostError: a command line cannot be worked out.
        """
        case, world = decision.case, world_of(decision, inventory, refused)
        migration = case.migration or Migration()
        emulators: dict[str, Emulator] = {}
        for name in places(decision):
            place = folder / name.replace("/", "_")
            with host_errors("create", place):
                place.mkdir(mode=0o700, parents=True)
            at = replace(decision, case=replace(case, variant=replace(case.variant, qemu=name)))
            launch = fitted(await make_launch(at, inventory, place), migration)
            if name == world.first:
                world = replace(world, hotplug=hotplug_of(launch))
            launch = _that_resets(world.hotplug.fitted(launch))
            emulators[name] = emulator_of(at, launch, inventory)
        limits = Limits(timeout=HOP_SECONDS, stall=HOP_SECONDS, start=START_SECONDS)
        parser = suite_of(case.suite).parser
        return cls(
            decision, inventory, world, Lives(world, emulators, injector_for, parser, limits)
        )

    async def live(self, steps: Steps, directory: Path, enough: Callable[[], bool]) -> Ended:
        """As :meth:`Lives.live`, and with what the guest says at its end."""
        seconds = self.lives.limits.timeout * (2 + len(steps))
        # No stall: one that is stopped is silent for as long as a busy host takes for a step, and
        # after each step one that runs is waited for.
        limits = replace(self.lives.limits, timeout=seconds, stall=seconds)
        ended = await replace(self.lives, limits=limits).live(steps, directory, enough)
        if ended.outcome is None or ended.transcript is None:
            return ended
        evidence = Evidence(
            decision=self.decision,
            launch=self.launch,
            outcome=ended.outcome,
            transcript=ended.transcript,
            hops=None,
            inventory=self.inventory,
            directory=directory,
            starts_nothing=Starting(self.inventory).why_never,
        )
        attempt = await decide_attempt(evidence)
        if attempt.verdict is Verdict.ERROR:
            raise HostError(attempt.reason)
        if attempt.verdict is Verdict.PASS:
            return ended
        reason = f"the guest ends with {attempt.verdict.value}: {attempt.reason}".rstrip(": ")
        return replace(ended, failure=Failure(Invariant.VERDICT, reason, len(steps)))

    @property
    def launch(self) -> Launch:
        """The command line of the QEMU that starts the guest."""
        return self.lives.emulators[self.world.first].launch
