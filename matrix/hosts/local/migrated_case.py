"""A case whose guest is migrated: from its decision to a chain of hops."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from matrix.attempt import ChainResult, Ending
from matrix.hosts.local.launch import binary_of, make_launch
from matrix.inventory import Inventory
from matrix.migrating import PROOF, Fault, Hop, seed_of
from matrix.migration.chain import run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.folding import HOPS_FILE
from matrix.migration.gdb_relay import GdbRelay
from matrix.migration.hop_records import write_summary
from matrix.migration.hop_runner import Request
from matrix.migration.live_hop import Injector
from matrix.model import Case, Launch
from matrix.plan.decisions import Run
from matrix.results.files import host_errors
from matrix.vm.machine import Limits


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
    debugger: GdbRelay | None = None,
) -> ChainResult:
    """Run a case whose guest is migrated, its first QEMU by ``launch``.

    ``seed`` is what the user has chosen, None for one that depends on the case and on the number of
    the ``attempt``. The others are as of :func:`run_chain`.

    Raises:
        SuiteError, VanishedError, HostError: a destination's command line cannot be worked out.
    """
    case = decision.case
    assert case.migration is not None  # noqa: S101 - or it is no case of this kind
    source = emulator_of(decision, launch, inventory)
    own = case.variant.qemu
    others = [name for name in case.migration.destinations if name != own]
    destinations = [await _destination(decision, name, inventory, directory) for name in others]
    if own in case.migration.destinations:
        destinations.append(source)
    request = request_for(case, source, destinations, attempt=attempt, seed=seed)
    request = replace(request, on_hop=on_hop, earlier=earlier_hops(directory), debugger=debugger)
    return await carry_out(request, directory, limits, on_console=on_console, interrupt=interrupt)


def request_for(
    case: Case,
    source: Emulator,
    destinations: Sequence[Emulator],
    *,
    attempt: int,
    seed: int | None,
) -> Request:
    """What is asked of the chain of a case that starts under ``source``."""
    assert case.migration is not None  # noqa: S101 - or it is no case of this kind
    return Request(
        migration=case.migration,
        source=source,
        destinations=tuple(destinations),
        seed=seed_of(case.id, attempt) if seed is None else seed,
        injectors=_injector,
        proves=PROOF in case.test.groups,
    )


async def carry_out(
    request: Request,
    directory: Path,
    limits: Limits,
    *,
    on_console: Callable[[bytes], None],
    interrupt: asyncio.Event,
) -> ChainResult:
    """Run the chain, and write what it came to. Raises as :func:`run_chain`."""
    result = await run_chain(request, directory, limits, on_console=on_console, interrupt=interrupt)
    if result.outcome.ending is not Ending.INTERRUPTED:
        with host_errors("write", directory):
            write_summary(directory, request.migration, result.summary)
    return result


async def outfit(
    decision: Run, names: Sequence[str], inventory: Inventory, directory: Path
) -> tuple[Emulator, ...]:
    """How the case is started here by each of the installations of these names. Raises as
    :func:`migrate_case`."""
    return tuple([await _destination(decision, name, inventory, directory) for name in names])


def emulator_of(decision: Run, launch: Launch, inventory: Inventory) -> Emulator:
    """The QEMU that a case was planned for, with that command line.

    Raises:
        VanishedError: it is gone.
    """
    binary = binary_of(decision, inventory)
    return Emulator(
        binary.qemu,
        ".".join(map(str, binary.version)),
        launch,
        binary.migration_modes if binary.migration_parameters else None,
    )


async def _destination(decision: Run, name: str, inventory: Inventory, directory: Path) -> Emulator:
    """The same case under another installation, its files in a subfolder."""
    folder = directory / f"to-{name}"
    with host_errors("create", folder):
        folder.mkdir(mode=0o700)
    variant = replace(decision.case.variant, qemu=name)
    other = replace(decision, case=replace(decision.case, variant=variant))
    launch = await make_launch(other, inventory, folder, disks=directory)
    return emulator_of(other, launch, inventory)


def _injector(fault: Fault) -> Injector:
    from matrix.migration.faults.injectors import injector_for  # most chains have no faults

    return injector_for(fault)


def earlier_hops(directory: Path) -> Path | None:
    """hops.jsonl of this attempt's last execution that was killed; it has those before in it."""
    folders = directory.parent.glob(f"{directory.name}.interrupted-*")
    ordered = sorted(folders, key=lambda folder: int(folder.name.rpartition("-")[2]))
    paths = [path for folder in ordered if (path := folder / HOPS_FILE).is_file()]
    return paths[-1] if paths else None
