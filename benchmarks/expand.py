"""How long 100,000 cases take to expand, and how much memory.

    python benchmarks/expand.py

Prints seconds and the peak resident memory of the process. The limits are for expansion and
planning together: 5 s and 500 MB.
"""

import resource
import sys
import time
from pathlib import Path

from matrix.model import Architecture, Build, Test
from matrix.scenario.expand import SuiteTests, expand
from matrix.scenario.load import read_scenario

# 8 architectures × 2 × 5 × 25 × 5 = 10,000 variants, of 10 tests each.
SCENARIO = f"""
name: benchmark
suite: {{kind: kvm-unit-tests, build: builtin}}
matrix:
  arch: [{", ".join(Architecture)}]
  accel: [tcg, kvm]
  qemu: [system, "7.2", "8.2", "10.0", "11.1"]
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


def main() -> int:
    """Expand once and print what it cost."""
    imported = peak_megabytes()
    start = time.perf_counter()
    scenario = read_scenario(SCENARIO.encode(), "benchmark.yaml", Path(), {})
    loaded = time.perf_counter()
    cases = expand(scenario, tests_of)
    expanded = time.perf_counter()
    print(f"load    {loaded - start:6.2f} s  {len(scenario.variants)} variants")
    print(f"expand  {expanded - loaded:6.2f} s  {len(cases)} cases")
    print(f"peak    {peak_megabytes():6.0f} MB, {imported:.0f} MB of it before")
    return 0


if __name__ == "__main__":
    sys.exit(main())
