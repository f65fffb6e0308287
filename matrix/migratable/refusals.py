"""Refusals that ``matrix migratable`` has found, kept in the cache for runs and explorations.

The plan of a run starts no QEMU: it takes a ``no`` that is there already, of the same binaries,
machine and CPU model, and leaves everything else to the run. An exploration asks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache as remembered
from itertools import permutations

from matrix.errors import SuiteError
from matrix.hosts.cache import Cache
from matrix.hosts.cached_records import stamps_text
from matrix.hosts.fingerprint import take_stamp
from matrix.hosts.host_facts import HostState
from matrix.hosts.survey import fingerprint_of
from matrix.hosts.surveyors import guest_files
from matrix.inventory import Binary, Inventory
from matrix.migratable.idle import idle_launch
from matrix.migratable.idle_sides import side_of
from matrix.migratable.prediction import Answer, Guest, Prediction, predict
from matrix.migrating import PROOF, MigrationMode, Strategy
from matrix.model import Accelerator
from matrix.plan.command import (
    cpu_of,
    guest_arguments,
    machine_arguments,
    machine_of,
    option_values,
)
from matrix.plan.decisions import LOCAL, Decision, Run, Skip
from matrix.verdicts import SkipCause

DECISIVE = ("-machine", "-M", "-cpu", "-accel", "-global")
"""Options that decide what the state of the devices is that every guest of an emulator has."""

CRASHED = " ended with signal "
"""In the words of :mod:`matrix.vm.probe` for a QEMU that died."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A guest, and the two QEMUs that it is to go between."""

    source: Binary
    destination: Binary
    guest: Guest


def keep(pair: Pair, prediction: Prediction, host: HostState, cache: Cache) -> None:
    """Keep the answer that loading the idle guest has given."""
    if (place := _place(pair, host, cache)) is not None:
        value = {"answer": prediction.answer.value, "reason": prediction.reason}
        cache.write(*place, value)


def known_refusal(pair: Pair, host: HostState, cache: Cache) -> str:
    """Why the destination is known not to take the guest; empty where that is not known, or the
    destination crashes: a run has to show that."""
    place = _place(pair, host, cache)
    known = None if place is None else cache.read(*place, lambda value: dict(value))
    if known is None or known.get("answer") != Answer.NO:
        return ""
    reason = str(known.get("reason", ""))
    return "" if CRASHED in reason else reason


async def refusal(pair: Pair, host: HostState, cache: Cache) -> str:
    """As :func:`known_refusal`, and asks the two QEMUs where there is no answer yet.

    Raises:
        SpawnError, HostError, SuiteError: as :func:`.prediction.predict`.
    """
    place = _place(pair, host, cache)
    if place is not None and cache.read(*place, lambda value: dict(value)) is None:
        source, destination = [
            await side_of(binary, pair.guest, host, cache)
            for binary in (pair.source, pair.destination)
        ]
        made = await predict(pair.guest, source, destination, loading=True)
        if source.idle and destination.idle:
            keep(pair, made, host, cache)
    return known_refusal(pair, host, cache)


async def refusals_of(
    run: Run, names: Sequence[str], inventory: Inventory, host: HostState, cache: Cache
) -> dict[tuple[str, str], str]:
    """Between which of those QEMUs the run's guest does not go, and why; asked where not known.

    Raises:
        SpawnError, HostError, SuiteError: as :func:`.prediction.predict`.
    """
    found = {}
    for source, destination in permutations(names, 2):
        pair = between(run, source, destination, inventory)
        if pair is not None and (why := await refusal(pair, host, cache)):
            found[source, destination] = why
    return found


def _place(pair: Pair, host: HostState, cache: Cache) -> tuple[str, str] | None:
    """Name and key in the cache; None where one of the binaries is not known there."""
    guest, sides = pair.guest, (pair.source, pair.destination)
    known = [fingerprint_of(side, host, cache) for side in sides]
    if None in known:
        return None
    try:
        words = [word for side in sides for word in _idle_words(side, guest)]
        stamps = stamps_text([take_stamp(file) for file in guest_files(guest.architecture)])
    except (OSError, SuiteError):  # no embedded guests here
        return None
    paths = " → ".join(side.path for side in sides)
    name = f"migratable {paths} {guest.architecture.value} {guest.machine} {guest.cpu}"
    return name, "\n".join((*map(str, known), stamps, *words))


@remembered
def _idle_words(binary: Binary, guest: Guest) -> tuple[str, ...]:
    return idle_launch(binary, guest.architecture, guest.machine, guest.cpu).argv


def without_refused(
    decisions: Iterable[Decision], inventory: Inventory, host: HostState, cache: Cache
) -> list[Decision]:
    """The decisions, with a skip for each case whose first hop is known to fail."""
    refusals: dict[Pair, str] = {}
    found: list[Decision] = []
    for decision in decisions:
        pair = first_hop(decision, inventory) if isinstance(decision, Run) else None
        if pair is not None and pair not in refusals:
            refusals[pair] = known_refusal(pair, host, cache)
        if pair is None or not refusals[pair]:
            found.append(decision)
            continue
        way = f"from QEMU {pair.source.qemu} to {pair.destination.qemu}"
        reason = f"no hop {way}, as matrix migratable found: {refusals[pair]}"
        found.append(Skip(decision.case, reason, SkipCause.UNSUPPORTED))
    return found


def first_hop(run: Run, inventory: Inventory) -> Pair | None:
    """The guest's first hop, where it is of a kind that is predicted; else None.

    That is one as in :func:`between`, to a QEMU that is not drawn, of which nobody expects that it
    fails, by a strategy that sends what precopy sends.
    """
    migration = run.case.migration
    if migration is None or len(migration.destinations) != 1:
        return None
    if migration.faults or run.expected or migration.mode is MigrationMode.COOPERATIVE:
        return None
    if any(each.through_file or each is Strategy.CPR_TRANSFER for each in migration.strategies):
        return None
    return between(run, run.case.variant.qemu, migration.destinations[0], inventory)


def between(run: Run, source: str, destination: str, inventory: Inventory) -> Pair | None:
    """The run's guest and two QEMUs, where a hop between them is of a kind that is predicted.

    That is one under TCG on this machine, of a guest whose machine and CPU are those of the idle
    guest, word for word, and which works until it is told to end: another one may be over before
    its hop, and pass.
    """
    case = run.case
    if run.host != LOCAL or run.accelerator is not Accelerator.TCG or case.build.efi:
        return None
    if PROOF not in case.test.groups or source == destination:
        return None
    sides = [inventory.binary(name, case.variant.arch) for name in (source, destination)]
    if sides[0] is None or sides[1] is None:
        return None
    pair = Pair(sides[0], sides[1], Guest(case.variant.arch, machine_of(case), cpu_of(case)))
    return pair if _is_that_guest(run, pair) else None


def _is_that_guest(run: Run, pair: Pair) -> bool:
    words = (
        *machine_arguments(run.case, pair.source, Accelerator.TCG),
        *guest_arguments(run.case),
    )
    try:
        idle = _idle_words(pair.source, pair.guest)
    except SuiteError:  # no embedded guests here
        return False
    return all(option_values(words, name) == option_values(idle, name) for name in DECISIVE)
