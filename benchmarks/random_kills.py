"""Kill one side of real migrations at random moments, and look for reasons without a cause.

    python benchmarks/random_kills.py SIDE STRATEGY KILLS [SEED] [--qemu DIRECTORY]

SIDE is ``source`` or ``destination``. Each guest is killed once; a reason must name who ended, how,
and during which step. What the reasons were is printed, and exit status 1 where one says less.
"""

import argparse
import asyncio
import os
import random
import re
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from matrix.attempt import ChainResult
from matrix.inventory import Binary
from matrix.migrating import Hop, Migration, MigrationMode, Strategy
from matrix.migration.chain import run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.hop_runner import Request
from matrix.model import Accelerator, Architecture, Case, Launch, Variant
from matrix.plan.command import launch_for
from matrix.suites.build import builtin_build
from matrix.suites.unittests import read_tests
from matrix.vm.machine import Limits

GUEST = "ram-integrity"
LIMITS = Limits(timeout=20, stall=60, start=60)
AT_MOST = 1.5
"""Seconds from the first hop's begin in which the kill comes; a hop takes some 0.5 s."""
CAUSE = re.compile(
    r"the (source|destination) ended: .* killed by SIGKILL.*\(.+\)$"
    r"|the destination of hop \d+: .* did not start: .* killed by SIGKILL"
)
BETWEEN_HOPS = "QEMU was killed by SIGKILL"
"""The guest's own end, where no hop was under way: there is but one side."""


@dataclass(frozen=True, slots=True)
class Killed:
    """What a killed chain said."""

    bad: tuple[str, ...]
    reason: str
    hops: int


def launch(migration: Migration, folder: str | None) -> Launch:
    """Of the embedded guest."""
    build = builtin_build(Architecture.X86_64)
    test = next(test for test in read_tests(build, max_smp=8) if test.name == GUEST)
    path = "qemu-system-x86_64"
    binary = Binary("killed", Architecture.X86_64, path, (7, 2, 0), "7.2.0", sandbox=True)
    variant = Variant(Architecture.X86_64, Accelerator.TCG)
    case = Case("s.t", "s", "kvm-unit-tests", test, variant, build, migration=migration)
    made = launch_for(case, binary, Accelerator.TCG)
    program = f"{folder}/{path}" if folder else path
    return replace(made, argv=(program, *made.argv[1:]))


async def kill_once(request: Request, side: str, draw: random.Random) -> Killed:
    """One chain, one of whose processes is killed at a random moment after it has begun to hop."""
    before = {child.pid for child in psutil.Process().children()}
    speaks = asyncio.Event()
    interrupt = asyncio.Event()
    killed = asyncio.Event()

    hops_since = 0

    def hopped(hop: Hop) -> None:
        nonlocal hops_since
        hops_since += killed.is_set()
        if killed.is_set() and (not hop.good or hops_since == 3):
            interrupt.set()

    async def killer() -> None:
        await speaks.wait()
        await asyncio.sleep(draw.random() * AT_MOST)
        children = [child for child in psutil.Process().children() if child.pid not in before]
        alive = sorted(child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE)
        if len(alive) > 1:
            # By age: who runs the guest, who takes it over, and who will take it over next.
            os.kill(alive[0 if side == "source" else draw.randrange(1, len(alive))], signal.SIGKILL)
        killed.set()

    with tempfile.TemporaryDirectory() as folder:
        killing = asyncio.create_task(killer())
        result: ChainResult = await run_chain(
            replace(request, on_hop=hopped),
            Path(folder),
            LIMITS,
            on_console=lambda data: speaks.set() if b"BEAT" in data else None,
            interrupt=interrupt,
        )
        killing.cancel()
        await asyncio.wait((killing,))
    return Killed(result.bad, result.outcome.reason, result.summary.hops)


def causeless(found: Killed) -> list[str]:
    """Reasons that name no cause."""
    wrong = [bad for bad in found.bad if not CAUSE.search(bad)]
    if not found.bad and found.reason not in ("", "interrupted", BETWEEN_HOPS):
        wrong += [] if CAUSE.search(found.reason) else [found.reason]
    return wrong


async def kill_many(
    side: str, strategy: Strategy, kills: int, seed: int, folder: str | None
) -> tuple[Counter[str], list[str]]:
    """How often which reason was given, and those without a cause."""
    parameters = [("max-bandwidth", 48 << 20)]
    if strategy is Strategy.POSTCOPY:
        parameters.append(("max-postcopy-bandwidth", 32 << 20))
    migration = Migration(
        mode=MigrationMode.CONTINUOUS,
        strategies=(strategy,),
        parameters=tuple(parameters),
        pace=0.0,
    )
    emulator = Emulator("killed", "", launch(migration, folder))
    reasons: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(seed, seed + kills):
        request = Request(migration, emulator, seed=number, proves=True)
        found = await kill_once(request, side, random.Random(number))
        said = found.bad or (f"(between hops) {found.reason}",)
        reasons.update(re.sub(r"hop \d+", "hop N", each) for each in said)
        wrong += [f"kill {number}: {each}" for each in causeless(found)]
    return reasons, wrong


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("source", "destination"))
    parser.add_argument("strategy", type=Strategy)
    parser.add_argument("kills", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--qemu")
    given = parser.parse_args()
    reasons, wrong = asyncio.run(
        kill_many(given.side, given.strategy, given.kills, given.seed, given.qemu)
    )
    for reason, count in reasons.most_common():
        print(f"{count:5} {reason}")
    for each in wrong:
        print(f"WITHOUT A CAUSE: {each}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
