"""What a fleet costs: the same cases on one machine and by two workers of it, in turn.

    python -m benchmarks.fleet [CASES [TURNS]]

The QEMU does nothing but wait and end. Both ways run four cases at a time on this machine.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import MATRIX, Spent, fastest, report, spend, spread
from benchmarks.throughput import FAKE, PROBE, SCENARIO
from matrix.hosts.fleet.founding import found_fleet

CASES = 60
TURNS = 3
RATIO_BOUND = 1.05
COST_BOUND = 10.0
"""ms a case, which ends at once."""
WRAPPER = """#!/bin/sh
FAKE_QEMU='{guest}'
case "$*" in *-kernel*) ;; *) FAKE_QEMU='{probe}' ;; esac
export FAKE_QEMU
exec {python} -I -S {fake} "$@"
"""


def main() -> int:
    """Measure both ways, with cases of half a second and with those that end at once."""
    cases = int(sys.argv[1]) if sys.argv[1:] else CASES
    turns = int(sys.argv[2]) if sys.argv[2:] else TURNS
    kept = []
    for seconds in (0.5, 0.0):
        with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as folder:
            alone, fleet = _measure(Path(folder), cases, seconds, turns)
        print(f"cases of {seconds} s: alone {spread(alone)}; by a fleet {spread(fleet)}")
        if seconds:
            ratio = fastest(fleet) / fastest(alone)
            kept.append(report("fleet / one machine", ratio, RATIO_BOUND, ""))
        else:
            cost = (fastest(fleet) - fastest(alone)) / cases * 1000
            kept.append(report("a case costs more", cost, COST_BOUND, "ms"))
    return 0 if all(kept) else 1


def _measure(root: Path, cases: int, seconds: float, turns: int) -> tuple[list[Spent], list[Spent]]:
    _make_world(root, cases, seconds)
    environment = {name: str(root / name) for name in ("MATRIX_CACHE", "MATRIX_STATE")}
    run = (*MATRIX, "run", "scenario.yaml", "--no-history", "-o")
    alone, fleet = [], []
    with _workers(root, environment):
        for turn in range(turns):
            here = (*run, f"alone{turn}", "--qemu", "fake=qemu", "-j", "4")
            alone.append(_passed(spend(here, cwd=root, environment=environment)))
            there = (*run, f"fleet{turn}", "--fleet", "lab/fleet.yaml")
            fleet.append(_passed(spend(there, cwd=root, environment=environment)))
    return alone, fleet


def _passed(spent: Spent) -> Spent:
    if spent.status:
        sys.exit(f"a run ended with {spent.status}")
    return spent


@contextmanager
def _workers(root: Path, environment: dict[str, str]) -> Iterator[None]:
    words = (*MATRIX, "worker", "--fleet", "lab/fleet.yaml", "--qemu", "fake=qemu", "--name")
    variables = {**os.environ, **environment}
    quiet = subprocess.DEVNULL
    running = [
        subprocess.Popen((*words, name), cwd=root, env=variables, stderr=quiet)
        for name in ("z1", "z2")
    ]
    try:
        yield
    finally:
        for each in running:
            each.terminate()
        for each in running:
            each.wait()


def _make_world(root: Path, cases: int, seconds: float) -> None:
    for name in ("build/x86", "qemu"):
        (root / name).mkdir(parents=True)
    (root / "build/config.mak").write_text("ARCH=x86_64\nTEST_DIR=x86\nTARGET=qemu\n")
    (root / "build/x86/guest.flat").write_bytes(b"guest")
    tests = "\n".join(f"[test{index}]\nfile = guest.flat\n" for index in range(cases))
    (root / "build/x86/unittests.cfg").write_text(tests)
    (root / "scenario.yaml").write_text(SCENARIO)
    wrapper = root / "qemu/qemu-system-x86_64"
    guest = {"cont": [["stdout", "PASS: all is well\nSUMMARY: 1 tests\n"], ["serve", seconds]]}
    words = {"probe": json.dumps(PROBE), "guest": json.dumps(guest)}
    wrapper.write_text(WRAPPER.format(**words, python=sys.executable, fake=FAKE))
    wrapper.chmod(0o755)
    found_fleet(root / "lab", {"z1": "127.0.0.1", "z2": "127.0.0.1"}, "127.0.0.1")
    path = root / "lab/fleet.yaml"
    path.write_text(path.read_text().replace("'127.0.0.1'}", "'127.0.0.1', jobs: 2}"))


if __name__ == "__main__":
    sys.exit(main())
