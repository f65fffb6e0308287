"""``matrix debug`` of a case whose guest is migrated: it hops as ever, and gdb follows it."""

import asyncio
import shlex
from pathlib import Path

from matrix.attempt import ChainResult, Ending
from matrix.cli.debugging import (
    START_SECONDS,
    Console,
    Debugging,
    attached,
    gdb_options,
    no_debugger,
    socket_in,
)
from matrix.errors import ExitCode, HostError
from matrix.hosts.local.launch import make_launch
from matrix.hosts.local.migrated_case import migrate_case
from matrix.inventory import Inventory
from matrix.migrating import Hop
from matrix.migration.gdb_relay import GdbRelay
from matrix.plan.decisions import Run
from matrix.results.printable import printable
from matrix.run.debugger import FOLLOW, PROGRAMS, debugger_command, find_debugger
from matrix.vm.machine import Limits
from matrix.vm.tasks import put_off_cancellation

FOREVER = 10.0 * 365 * 24 * 3600
"""Seconds: whoever debugs has no time limit."""


async def debug_hops(
    asked: Debugging, decision: Run, inventory: Inventory, place: Path
) -> ExitCode:
    """Start the guest of a case, stopped, with gdb, and migrate it as its scenario says while gdb
    lets it run.

    Args:
        asked: with what, and further options of gdb.
        decision: the case.
        inventory: what is here.
        place: a folder that only the user can enter.

    Raises:
        HostError: QEMU or gdb cannot be started.
        SuiteError: its build is no longer readable.
    """
    case, architecture = decision.case, decision.case.variant.arch
    found = "" if asked.listen else await asyncio.to_thread(find_debugger, architecture)
    if asked.gdb and not found:
        raise no_debugger(architecture)
    relay = GdbRelay(socket_in(place), _tell)
    guest = (case.build, case.test.image, decision.accelerator)
    command = debugger_command(found or PROGRAMS[0], relay.socket, *guest, follows=True)
    command += gdb_options(asked.words)
    interrupt, console = asyncio.Event(), Console()
    async with relay.serving():
        chain = asyncio.create_task(_chain(decision, inventory, place, relay, console, interrupt))
        try:
            await _until(relay.ready, chain)
            if not chain.done():
                _introduce(case.id, command)
                if found:
                    await attached(command)
                    interrupt.set()
            result = await asyncio.shield(chain)
        finally:
            interrupt.set()
            await put_off_cancellation(asyncio.wait((chain,)))
            console.flush()
    if not relay.ready.is_set():
        raise HostError(f"QEMU could not be started: {printable(result.outcome.reason)}")
    _conclude(result)
    return ExitCode.OK


async def _chain(
    decision: Run,
    inventory: Inventory,
    place: Path,
    relay: GdbRelay,
    console: Console,
    interrupt: asyncio.Event,
) -> ChainResult:
    launch = await make_launch(decision, inventory, place)
    return await migrate_case(
        decision,
        launch,
        inventory,
        place,
        Limits(timeout=FOREVER, stall=FOREVER, start=START_SECONDS),
        attempt=1,
        seed=None,
        on_console=console.write,
        on_hop=_told_of_hop,
        interrupt=interrupt,
        debugger=relay,
    )


async def _until(ready: asyncio.Event, chain: "asyncio.Task[ChainResult]") -> None:
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait((waiting, chain), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _introduce(case_id: str, command: list[str]) -> None:
    print(f"{printable(case_id)} is stopped before its first instruction; the debugger is")
    print(f"  {shlex.join(command)}")
    _tell(
        f"it is migrated while it runs: gdb is detached before a hop, {FOLLOW!r} attaches it anew"
    )


def _told_of_hop(hop: Hop) -> None:
    why = "" if hop.good else f", bad: {hop.reason}"
    _tell(f"hop {hop.number}, {hop.strategy} over {hop.transport}: {hop.outcome}{why}")


def _conclude(result: ChainResult) -> None:
    outcome = result.outcome
    if outcome.ending is not Ending.INTERRUPTED:
        why = result.lost or outcome.reason
        print(printable("The guest has ended" + (f": {why}" if why else "")))


def _tell(what: str) -> None:
    """A line of ours, between those of the guest and of gdb."""
    print(f"matrix: {printable(what)}", flush=True)
