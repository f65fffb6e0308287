"""What ``--reuse`` costs where nothing has changed: the scenario smoke, 72 cases where KVM works,
with all of them reused, against the same with none, in turns."""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import MATRIX, fastest, report, spend, spread

BOUND = 0.05
TURNS = 3


def main() -> int:
    """Measure the ratio."""
    first, second, again = [], [], 0
    with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as folder:
        root = Path(folder)
        run = (*MATRIX, "run", "smoke", "--no-history")
        for turn in range(TURNS):
            first.append(spend([*run, "-o", f"first{turn}"], cwd=root))
            second.append(spend([*run, "-o", f"second{turn}", "--reuse", f"first{turn}"], cwd=root))
            cases = json.loads((root / f"second{turn}/results.json").read_text())["cases"]
            again += sum(not each["reused"] and each["verdict"] != "skip" for each in cases)
    print(f"none reused: {spread(first)}; all reused: {spread(second)}")
    ratio = fastest(second) / fastest(first)
    kept = [
        report("an unchanged smoke against its first run", ratio, BOUND, "times"),
        report("cases that were run again", again, 0, "cases"),
        report("runs that did not pass", sum(s.status != 0 for s in first + second), 0, "runs"),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
