"""What orchestration costs: 50 ``boot`` cases on aarch64 under TCG, one after another, against
their 50 ``command.sh`` one after another, in turns."""

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import MATRIX, fastest, report, spend, spread

CASES = 50
BOUND = 1.25
TURNS = 3

SCENARIO = f"""name: sequential
suite: {{kind: kvm-unit-tests, build: builtin, tests: [boot]}}
matrix:
  arch: [aarch64]
  accel: [tcg]
  memory: [{", ".join(f"{128 + index}MiB" for index in range(CASES))}]
"""
"""The memory makes them cases of their own; it costs nothing that a guest does not touch."""


def main() -> int:
    """Measure the ratio."""
    with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as folder:
        root = Path(folder)
        (root / "scenario.yaml").write_text(SCENARIO)
        orchestrated, by_hand = [], []
        for turn in range(TURNS):
            run = f"run{turn}"
            orchestrated.append(
                spend([*MATRIX, "run", "scenario.yaml", "-j", "1", "-o", run], cwd=root)
            )
            scripts = sorted((root / run / "cases").glob("*/command.sh"))
            assert len(scripts) == CASES, "every case leaves its command.sh"
            loop = "; ".join(f"{script}" for script in scripts)
            by_hand.append(spend(["/bin/sh", "-c", f"{loop}; true"], cwd=root))
    print(f"matrix run: {spread(orchestrated)}; command.sh: {spread(by_hand)}")
    ratio = fastest(orchestrated) / fastest(by_hand)
    kept = [
        report(f"{CASES} sequential cases against their command.sh", ratio, BOUND, "times"),
        report("runs that did not pass", sum(s.status != 0 for s in orchestrated), 0, "runs"),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
