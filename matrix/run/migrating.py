"""A case whose guest is migrated: from its decision to a chain of hops, and what that comes to."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from matrix.inventory import Inventory
from matrix.migrating import Fault, Hop, seed_of
from matrix.migration.chain import ChainResult, run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.hop_runner import Request
from matrix.migration.live import Injector
from matrix.migration.records import HOPS_FILE, write_summary
from matrix.model import Ending, Expectation, Launch, Verdict
from matrix.plan.decisions import Run
from matrix.plan.planner import emulator_architecture
from matrix.results.files import host_errors
from matrix.run.launch import VanishedError, make_launch
from matrix.scenario.compatibility import for_variant
from matrix.verdict.judgement import Judgement
from matrix.verdict.known_failures import KNOWN, known_hops
from matrix.vm.machine import Limits

PROOF = "migration-proof"
"""The group of the embedded guests that print INTEGRITY lines and end when they are told to."""
BAD_SHOWN = 2
"""Hops, and limits, that a reason names; more are in hops.jsonl and migration.json."""


async def migrate_case(
    decision: Run,
    launch: Launch,
    inventory: Inventory,
    directory: Path,
    limits: Limits,
    *,
    attempt: int,
    seed: int | None,
    on_console: Callable[[bytes], None],
    on_hop: Callable[[Hop], None] | None,
    interrupt: asyncio.Event,
) -> ChainResult:
    """Run a case whose guest is migrated.

    Args:
        decision: with a ``migration``.
        launch: of its first QEMU.
        inventory: of this host.
        directory: of the attempt.
        limits: of the guest.
        attempt: its number, which makes the seed another one.
        seed: what the user has chosen, None for one that depends on the case and the attempt only.
        on_console: gets the bytes of the joined console.
        on_hop: told of each hop.
        interrupt: ends it.

    Raises:
        SuiteError, VanishedError, HostError: a destination's command line cannot be worked out.
    """
    case = decision.case
    assert case.migration is not None  # noqa: S101 - or it is no case of this kind
    migration = for_variant(case.migration, case.variant)
    source = _emulator(decision, case.variant.qemu, launch, inventory)
    destinations = [
        _emulator(
            decision, name, await _destination(decision, name, inventory, directory), inventory
        )
        for name in migration.destinations
        if name != case.variant.qemu
    ]
    if case.variant.qemu in migration.destinations:
        destinations.append(source)
    request = Request(
        migration=migration,
        source=source,
        destinations=tuple(destinations),
        seed=seed_of(case.id, attempt) if seed is None else seed,
        injectors=_injector,
        on_hop=on_hop,
        earlier=_earlier(directory),
        proves=PROOF in case.test.groups,
    )
    result = await run_chain(request, directory, limits, on_console=on_console, interrupt=interrupt)
    if result.outcome.ending is not Ending.INTERRUPTED:
        with host_errors("write", directory):
            write_summary(directory, migration, result.summary)
    return result


def judged(
    judgement: Judgement,
    result: ChainResult,
    flaw: str = "",
    expected: Sequence[Expectation] = (),
) -> Judgement:
    """The case's verdict: the guest's own, unless hops or limits say otherwise.

    ``flaw`` is what its QEMUs are known to lose (:func:`matrix.verdict.qemu_bugs.migration_flaw`):
    a guest that fails after it was migrated may do so through no fault of its own, and this is added.
    Bad hops that ``expected`` knows leave the guest its own verdict; where that is a pass, or the
    guest was lost in one, the case has failed as expected.
    """
    if result.refused_by and not result.bad:
        who = f"destination QEMU {result.refused_by}"
        return replace(judgement, reason=f"{who}: {judgement.reason}")
    told = result.summary.bad <= len(result.bad)  # of very many bad ones not all are
    known = known_hops(result.bad, expected) if told else {}
    unknown = tuple(bad for bad in result.bad if bad not in known)
    if known and not unknown and not result.summary.broken:
        if result.lost or judgement.verdict is Verdict.PASS:
            why = "; ".join(dict.fromkeys(known.values()))
            return Judgement(Verdict.XFAIL, f"{KNOWN}{why} ({_shown(result.bad)})")
        result = replace(result, bad=())
    found = _judged(judgement, result)
    if found.verdict.good or found.verdict is Verdict.ERROR or not flaw:
        return found
    return replace(found, reason=f"{found.reason}; {flaw}") if result.summary.completed else found


def _judged(judgement: Judgement, result: ChainResult) -> Judgement:
    if result.lost_rightly:
        return Judgement(Verdict.PASS, f"the guest was lost, as it had to be: {result.lost}")
    if judgement.verdict is Verdict.ERROR:
        return judgement
    if result.lost:
        return Judgement(Verdict.FAIL, f"the guest was lost: {_shown(result.bad)}")
    wrong = (*result.bad, *result.summary.broken)
    if wrong:
        more = "" if judgement.verdict.good else f"; {judgement.reason}"
        verdict = Verdict.FAIL if judgement.verdict.good else judgement.verdict
        return Judgement(verdict, f"{_shown(wrong)}{more}")
    if judgement.verdict is Verdict.PASS:
        return replace(judgement, reason=_passed(judgement.reason, result))
    return judgement


def _passed(reason: str, result: ChainResult) -> str:
    """A pass, and how often its guest was migrated: not at all must be seen."""
    hops = result.summary.completed
    if result.summary.hops == 0:
        told = "ended before it was migrated"
    else:
        told = f"migrated {hops} time{'' if hops == 1 else 's'}"
    return f"{reason}; {told}" if reason else told


def _shown(wrong: tuple[str, ...]) -> str:
    more = len(wrong) - BAD_SHOWN
    return "; ".join((*wrong[:BAD_SHOWN], *((f"and {more} more",) if more > 0 else ())))


def _emulator(decision: Run, name: str, launch: Launch, inventory: Inventory) -> Emulator:
    architecture = emulator_architecture(
        decision.case.variant.arch, decision.accelerator, inventory
    )
    binary = inventory.binary(name, architecture)
    if binary is None:
        why = inventory.why_missing(name, architecture)
        raise VanishedError(f"the QEMU that the case was planned for is gone: {why}")
    return Emulator(
        name,
        ".".join(map(str, binary.version)),
        launch,
        binary.migration_modes if binary.migration_parameters else None,
    )


async def _destination(decision: Run, name: str, inventory: Inventory, directory: Path) -> Launch:
    """The command line of the same case under another installation, its files in a subfolder."""
    folder = directory / f"to-{name}"
    with host_errors("create", folder):
        folder.mkdir(mode=0o700)
    variant = replace(decision.case.variant, qemu=name)
    other = replace(decision, case=replace(decision.case, variant=variant))
    return await make_launch(other, inventory, folder)


def _injector(fault: Fault) -> Injector:
    from matrix.migration.faults.registry import injector_for  # most chains have no faults

    return injector_for(fault)


def _earlier(directory: Path) -> Path | None:
    """hops.jsonl of this attempt's last execution that was killed; it has those before in it."""
    folders = directory.parent.glob(f"{directory.name}.interrupted-*")
    ordered = sorted(folders, key=lambda folder: int(folder.name.rpartition("-")[2]))
    paths = [path for folder in ordered if (path := folder / HOPS_FILE).is_file()]
    return paths[-1] if paths else None
