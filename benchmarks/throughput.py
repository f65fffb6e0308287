"""What the orchestrator itself can do: 10,000 cases with a QEMU that does nothing but end."""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import MATRIX, report, spend

CASES = 10_000
RATE_BOUND = 50.0
MEMORY_BOUND = 150.0
FAKE = Path(__file__).parents[1] / "tests" / "fake_qemu.py"
MIB = 2**20

PROBE = {
    "replies": {
        "query-target": {"arch": "x86_64"},
        "query-version": {"qemu": {"major": 10, "minor": 0, "micro": 0}, "package": ""},
        "query-machines": [{"name": "pc", "cpu-max": 8, "is-default": True}],
        "query-cpu-definitions": [],
        "query-kvm": {"present": False, "enabled": False},
        "query-migrate-capabilities": [],
        "query-command-line-options": [],
        "qom-list-types": [],
    }
}

WRAPPER = """#!/bin/sh
case "$*" in *-kernel*) ;; *) FAKE_QEMU='{probe}'; export FAKE_QEMU ;; esac
exec {python} -I -S {fake} "$@"
"""

SCENARIO = """name: throughput
suite: {kind: kvm-unit-tests, build: build}
matrix: {arch: [x86_64], accel: [tcg], qemu: [fake]}
"""


def main() -> int:
    """Measure cases per second and peak memory."""
    with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as folder:
        root = Path(folder)
        make_world(root, CASES)
        environment = {name: str(root / name) for name in ("MATRIX_CACHE", "MATRIX_STATE")}
        run = [*MATRIX, "run", "scenario.yaml", "--qemu", "fake=qemu", "-o", "out", "-j", "4"]
        spent = spend(run, cwd=root, environment=environment)
        counts = json.loads((root / "out/results.json").read_text())["counts"]
    print(f"{CASES} cases in {spent.seconds:.0f} s, {counts}")
    kept = [
        report("cases per second", CASES / spent.seconds, RATE_BOUND, "/s", at_least=True),
        report("peak memory", spent.peak_memory / MIB, MEMORY_BOUND, "MiB"),
        report("cases that passed", counts["pass"], CASES, "cases", at_least=True),
    ]
    return 0 if all(kept) else 1


def make_world(root: Path, cases: int) -> None:
    """A build of so many tests, a scenario of it, and the QEMU that does nothing."""
    for name in ("build/x86", "qemu"):
        (root / name).mkdir(parents=True)
    (root / "build/config.mak").write_text("ARCH=x86_64\nTEST_DIR=x86\nTARGET=qemu\n")
    (root / "build/x86/guest.flat").write_bytes(b"guest")
    tests = "\n".join(f"[test{index}]\nfile = guest.flat\n" for index in range(cases))
    (root / "build/x86/unittests.cfg").write_text(tests)
    (root / "scenario.yaml").write_text(SCENARIO)
    wrapper = root / "qemu/qemu-system-x86_64"
    wrapper.write_text(WRAPPER.format(probe=json.dumps(PROBE), python=sys.executable, fake=FAKE))
    wrapper.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
