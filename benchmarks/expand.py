"""How long 100,000 cases take to expand and plan, and how much memory."""

import resource
import sys
import time
from pathlib import Path

from benchmarks.measure import report
from matrix.inventory import Binary, Host, Inventory, KvmProof, KvmState, Machine
from matrix.model import Architecture, Build, Test
from matrix.plan.decisions import LOCAL
from matrix.plan.planner import plan
from matrix.scenario.expand import SuiteTests, expand
from matrix.scenario.load import read_scenario

SECONDS_BOUND = 5.0
MEGABYTES_BOUND = 500.0
QEMUS = ("system", "7.2", "8.2", "10.0", "11.1")

# 8 architectures × 2 × 5 × 25 × 5 = 10,000 variants, of 10 tests each.
SCENARIO = f"""
name: benchmark
suite: {{kind: kvm-unit-tests, build: builtin}}
matrix:
  arch: [{", ".join(Architecture)}]
  accel: [tcg, kvm]
  qemu: [{", ".join(f'"{qemu}"' for qemu in QEMUS)}]
  smp: [{", ".join(str(smp) for smp in range(1, 26))}]
  memory: [128MiB, 256MiB, 512MiB, 1GiB, 2GiB]
"""


def tests_of(architecture: Architecture) -> SuiteTests:
    """Ten tests, as an embedded suite has."""
    directory = f"/build/{architecture}"
    return SuiteTests(
        Build(architecture, directory, directory),
        tuple(Test(f"test-{number}", f"{directory}/test.flat") for number in range(10)),
    )


def peak_megabytes() -> float:
    """Peak resident memory of this process (ru_maxrss is in KiB on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def inventory() -> Inventory:
    """Every binary that the scenario asks for, with KVM for two architectures."""
    machines = tuple(Machine(name, cpu_max=256) for name in ("pc", "virt", "pseries", "malta"))
    return Inventory(
        host=Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=2**34),
        binaries=tuple(
            Binary(qemu, architecture, f"/usr/bin/{architecture}", (7, 2, 0), "", machines=machines)
            for qemu in QEMUS
            for architecture in Architecture
        ),
        proofs=tuple(
            KvmProof(qemu, architecture, "", state, "as this benchmark has it")
            for qemu in QEMUS
            for architecture in Architecture
            for state in [_state(architecture)]
        ),
    )


def _state(architecture: Architecture) -> KvmState:
    native = architecture in (Architecture.X86_64, Architecture.I386)
    return KvmState.WORKS if native else KvmState.UNAVAILABLE


def main() -> int:
    """Expand and plan once, and say what it cost."""
    imported = peak_megabytes()
    start = time.perf_counter()
    scenario = read_scenario(SCENARIO.encode(), "benchmark.yaml", Path(), {})
    loaded = time.perf_counter()
    cases = expand(scenario, tests_of)
    expanded = time.perf_counter()
    decisions = list(plan(cases, {LOCAL: inventory()}))
    planned = time.perf_counter()
    print(
        f"{len(decisions)} cases of {len(scenario.variants)} variants: load {loaded - start:.2f} s,"
        f" expand {expanded - loaded:.2f} s, plan {planned - expanded:.2f} s;"
        f" {imported:.0f} MB resident before"
    )
    kept = [
        report("expand and plan 100,000 cases", planned - start, SECONDS_BOUND, "s"),
        report("peak memory", peak_megabytes(), MEGABYTES_BOUND, "MB"),
        report("cases", len(decisions), 100_000, "cases", at_least=True),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
