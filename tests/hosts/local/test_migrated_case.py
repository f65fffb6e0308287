"""Cases whose guests are migrated, from the decision to the attempt."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from matrix.attempt import Attempt
from matrix.hosts.contents import Contents
from matrix.hosts.interface import Assignment, Console, HopDone
from matrix.hosts.local.executor import LocalExecutor
from matrix.inventory import Binary, Host, Inventory
from matrix.migrating import Hop, Migration, MigrationMode, Strategy
from matrix.migration.folding import HOPS_FILE
from matrix.migration.hop_records import read_hops
from matrix.model import Accelerator, Architecture, Case, Variant
from matrix.plan.decisions import Run
from matrix.results.recorder import Recorder
from matrix.scenario.compatibility import for_variant
from matrix.suites.build import builtin_build
from matrix.suites.unittests import read_tests
from matrix.verdicts import Verdict

X86 = Architecture.X86_64


@pytest.mark.qemu
def test_an_attempt_has_its_hops(start: Callable[..., Recorder]) -> None:
    path = shutil.which("qemu-system-x86_64")
    if path is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    build = builtin_build(X86)
    # Not one that ends by itself: on a busy host it would, before its first hop.
    tests = {each.name: each for each in read_tests(build, max_smp=2)}
    test = tests["ram-integrity"]
    migration = Migration(
        mode=MigrationMode.CONTINUOUS, strategies=(Strategy.POSTCOPY,), hops=2, pace=0.0
    )
    variant = Variant(X86, Accelerator.TCG)
    case = Case("s.ram-integrity", "s", "kvm-unit-tests", test, variant, build, migration=migration)
    binaries = [
        Binary(name, X86, path, (7, 2, 0), "7.2.0", sandbox=True) for name in ("system", "other")
    ]
    host = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=2**33)
    inventory = Inventory(host, binaries=tuple(binaries))
    events: list[Console | HopDone] = []

    def run(case: Case) -> tuple[Attempt, list[Hop]]:
        decision = Run(case, Accelerator.TCG, "asked for", 1, 2**28)
        recorder = start(decision)
        directory = recorder.begin(case, 1)
        executor = LocalExecutor(inventory, recorder.run, Contents())
        assignment = Assignment("1", decision, 1, recorder.run.relative(directory), seed=5)
        attempt = asyncio.run(executor.execute(assignment, events.append)).attempt
        assert attempt is not None
        assert (attempt.verdict, attempt.migration is None) == (Verdict.PASS, False)
        told = json.loads((directory / "migration.json").read_text())
        assert told["summary"]["seed"] == 5
        hops = list(read_hops(directory / HOPS_FILE))
        assert [event.hop for event in events if isinstance(event, HopDone)] == hops
        events.clear()
        return attempt, hops

    attempt, _ = run(case)
    assert attempt.migration is not None
    assert attempt.migration.completed >= 1
    assert "; migrated " in attempt.reason
    moved = replace(variant, destination="other")
    _, hops = run(replace(case, variant=moved, migration=for_variant(migration, moved)))
    assert (hops[0].source, hops[0].destination) == ("system 7.2.0", "other 7.2.0")
