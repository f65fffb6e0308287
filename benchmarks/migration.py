"""What a hop costs beside QEMU's own time, how many there are per second, and what sampling takes.

With ``--kvm-unit-tests DIR``, a build whose tests migrate (ppc64le, s390x), its own runner's
continuous migration is measured too, on the same guest (``migration-memory``); it needs ncat.
"""

import argparse
import asyncio
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import report
from matrix.attempt import ChainResult
from matrix.inventory import Binary
from matrix.migrating import Hop, Migration, MigrationMode
from matrix.migration.chain import run_chain
from matrix.migration.endpoint import Emulator
from matrix.migration.folding import HOPS_FILE
from matrix.migration.hop_records import read_hops
from matrix.migration.hop_runner import Request
from matrix.model import Accelerator, Architecture, Case, Launch, Variant
from matrix.plan.command import launch_for
from matrix.suites.build import builtin_build, read_build
from matrix.suites.unittests import read_tests
from matrix.vm.machine import Limits

MIB = 2**20
FACTOR, ORCHESTRATION = 1.3, 0.030
"""A hop may cost so many times QEMU's total-time, and so many seconds more."""
HOPS_PER_SECOND = 3.0
FASTER = 3.0
"""Than kvm-unit-tests' own runner, in hops per minute."""
SAMPLING = 2.0
"""Percent of a core."""
IDLE_HOPS, SUSTAINED_HOPS = 30, 60
SLOW = 128 << 10
"""Bytes per second at which a hop of an idle guest takes some seconds, to be sampled."""


def emulator(test: str, accelerator: Accelerator, migration: Migration) -> Emulator:
    """An embedded x86_64 guest with 128 MiB."""
    build = builtin_build(Architecture.X86_64)
    tests = {each.name: each for each in read_tests(build, max_smp=8)}
    path = shutil.which("qemu-system-x86_64") or sys.exit("qemu-system-x86_64 is not installed")
    binary = Binary("system", Architecture.X86_64, path, (0, 0, 0), "", sandbox=True)
    variant = Variant(Architecture.X86_64, accelerator, memory=128 * MIB)
    case = Case("b.t", "b", "kvm-unit-tests", tests[test], variant, build, migration=migration)
    return Emulator("system", "", launch_for(case, binary, accelerator))


def chain(
    source: Emulator, migration: Migration, *, stop_after: int = 0
) -> tuple[ChainResult, list[Hop]]:
    """Run a chain, interrupted after so many hops; its result and its hops."""

    async def run(folder: Path) -> ChainResult:
        interrupt = asyncio.Event()

        def count(hop: Hop) -> None:
            if hop.number == stop_after:
                interrupt.set()

        request = Request(migration, source, seed=1, on_hop=count)
        limits = Limits(timeout=600, stall=600)
        return await run_chain(
            request, folder, limits, on_console=lambda _data: None, interrupt=interrupt
        )

    with tempfile.TemporaryDirectory() as name:
        result = asyncio.run(run(Path(name)))
        return result, list(read_hops(Path(name) / HOPS_FILE))


def idle_hops(accelerator: Accelerator) -> bool:
    """Hops of an idle guest whose destination is up."""
    migration = Migration(mode=MigrationMode.CONTINUOUS, pace=0.4)
    _, hops = chain(emulator("hang", accelerator, migration), migration, stop_after=IDLE_HOPS)
    costs = [
        hop.seconds - next(event.at for event in hop.events if event.what == "begin")
        for hop in hops
    ]
    totals = [hop.total_time or 0.0 for hop in hops]
    over = [cost - FACTOR * total for cost, total in zip(costs, totals, strict=True)]
    print(
        f"idle 128 MiB x86_64 guest, {accelerator}: {len(hops)} hops, "
        f"median {statistics.median(costs) * 1e3:.0f} ms, of which QEMU's total-time "
        f"{statistics.median(totals) * 1e3:.0f} ms"
    )
    what = f"cost of a hop over {FACTOR} × total-time, median ({accelerator})"
    return report(what, statistics.median(over) * 1e3, ORCHESTRATION * 1e3, "ms")


def sustained(accelerator: Accelerator) -> bool:
    """Hops one after the other, each destination started meanwhile."""
    migration = Migration(mode=MigrationMode.CONTINUOUS, pace=0.0)
    source = emulator("hang", accelerator, migration)
    _, hops = chain(source, migration, stop_after=SUSTAINED_HOPS)
    elapsed = hops[-1].begun + hops[-1].seconds - hops[0].begun
    what = f"hops per second, sustained ({accelerator})"
    return report(what, len(hops) / elapsed, HOPS_PER_SECOND, "/s", at_least=True)


def sampling() -> bool:
    """CPU time of all that we do during a hop that takes long."""
    migration = Migration(mode=MigrationMode.ONCE, pace=0.0, parameters=(("max-bandwidth", SLOW),))
    used: list[float] = []

    async def run(folder: Path) -> None:
        interrupt = asyncio.Event()

        def stop(_hop: Hop) -> None:
            interrupt.set()

        request = Request(
            migration, emulator("hang", Accelerator.TCG, migration), seed=1, on_hop=stop
        )
        running = asyncio.create_task(
            run_chain(
                request,
                folder,
                Limits(timeout=120, stall=60),
                on_console=lambda _data: None,
                interrupt=interrupt,
            )
        )
        await asyncio.sleep(1.5)  # the hop is under way
        before, begun = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        await asyncio.sleep(1.5)
        after, ended = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        used.append(100 * spent / (ended - begun))
        await running

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(run(Path(name)))
        hop = next(iter(read_hops(Path(name) / HOPS_FILE)))
    print(f"sampled: {len(hop.samples)} samples in {hop.seconds:.2f} s")
    return report("CPU while a hop is sampled", used[0], SAMPLING, "% of a core")


def beside_kvm_unit_tests(directory: Path) -> bool:
    """Continuous migration of ``migration-memory``, by its own runner and by us."""
    build = read_build(directory)
    test = next(t for t in read_tests(build, max_smp=8) if t.name == "migration-memory")
    arch = build.architecture
    path = shutil.which(f"qemu-system-{arch}") or sys.exit(f"qemu-system-{arch} is not installed")
    theirs = _their_rate(directory, path)
    migration = Migration(mode=MigrationMode.COOPERATIVE)
    variant = Variant(arch, Accelerator.TCG)
    test = replace(test, accelerator="")
    case = Case("b.t", "b", "kvm-unit-tests", test, variant, build, migration=migration)
    binary = Binary("system", arch, path, (0, 0, 0), "")
    launch: Launch = launch_for(case, binary, Accelerator.TCG)
    _, hops = chain(Emulator("system", "", launch), migration)
    ours = 60 * len(hops) / (hops[-1].begun + hops[-1].seconds - hops[0].begun)
    print(f"hops per minute of {arch} migration-memory: {ours:.0f}, by its own runner {theirs:.0f}")
    return report(
        "hops per minute, times its own runner's", ours / theirs, FASTER, "×", at_least=True
    )


def _their_rate(directory: Path, path: str) -> float:
    """Hops per minute of its own runner: destinations that it starts, from first to last."""
    with tempfile.TemporaryDirectory() as name:
        log, wrapper = Path(name, "starts"), Path(name, "qemu")
        wrapper.write_text(
            f'#!/bin/sh\ncase "$*" in *-incoming*) date +%s.%N >>{log};; esac\nexec {path} "$@"\n'
        )
        wrapper.chmod(0o755)
        environment = {**os.environ, "QEMU": str(wrapper), "ACCEL": "tcg"}
        subprocess.run(
            ["./run_tests.sh", "migration-memory"],
            cwd=directory,
            env=environment,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        starts = [float(line) for line in log.read_text().split()] if log.exists() else []
    if len(starts) < 2:
        sys.exit("kvm-unit-tests' own runner has not migrated (is ncat installed?)")
    return 60 * (len(starts) - 1) / (starts[-1] - starts[0])


def main() -> int:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvm-unit-tests", type=Path)
    parser.add_argument("--accel", choices=("kvm", "tcg"), default=None)
    options = parser.parse_args()
    kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    accelerator = Accelerator(options.accel or ("kvm" if kvm else "tcg"))
    kept = [idle_hops(accelerator), sustained(accelerator), sampling()]
    if options.kvm_unit_tests is not None:
        kept.append(beside_kvm_unit_tests(options.kvm_unit_tests))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
