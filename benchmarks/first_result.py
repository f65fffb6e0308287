"""When the first result is there of 10,000 cases by eight local workers.

    python -m benchmarks.first_result [CASES [TURNS]]

The run is killed then: how many cases a second there are is :mod:`benchmarks.throughput`'s.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import MATRIX, cpu_so_far, report
from benchmarks.throughput import make_world

CASES = 10_000
TURNS = 5
WORKERS = "8"
BOUND = 2.0
SECONDS = 100.0
"""After which there will be none."""
ENDED = b'{"event":"attempt-finished"'


def main() -> int:
    """Measure some runs, of which the fastest counts: others may use this machine, too."""
    cases = int(sys.argv[1]) if sys.argv[1:] else CASES
    turns = int(sys.argv[2]) if sys.argv[2:] else TURNS
    with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as folder:
        root = Path(folder)
        make_world(root, cases)
        environment = dict(os.environ)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment |= {name: str(root / name) for name in ("MATRIX_CACHE", "MATRIX_STATE")}
        known = (*MATRIX, "list", "scenario.yaml", "--qemu", "fake=qemu")
        subprocess.run(known, cwd=root, env=environment, stdout=subprocess.DEVNULL, check=True)
        found = [_first_result(root, environment, f"out{turn}") for turn in range(turns)]
    print("seconds (of CPU time in the orchestrator): ", end="")
    print(", ".join(f"{seconds:.2f} ({cpu:.2f})" for seconds, cpu in found))
    kept = report(f"first result of {cases}", min(each[0] for each in found), BOUND, "s")
    return 0 if kept else 1


def _first_result(root: Path, environment: dict[str, str], run: str) -> tuple[float, float]:
    """Seconds until it is in the journal, and what the orchestrator used of a CPU until then."""
    words = ("run", "scenario.yaml", "--qemu", "fake=qemu", "--no-history", "-o", run)
    command = (*MATRIX, *words, "-j", WORKERS, "--workers", WORKERS)
    quiet, begun = subprocess.DEVNULL, time.monotonic()
    with subprocess.Popen(command, cwd=root, env=environment, stdout=quiet) as process:
        try:
            while not _has_ended_one(root / run / "events.jsonl"):
                if process.poll() is not None or time.monotonic() > begun + SECONDS:
                    sys.exit("no result")
                time.sleep(0.005)
            seconds = time.monotonic() - begun
            cpu = cpu_so_far(process.pid)
        finally:
            process.send_signal(signal.SIGKILL)
    return seconds, cpu


def _has_ended_one(journal: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # the run has yet to begin
        return ENDED in journal.read_bytes()
    return False


if __name__ == "__main__":
    sys.exit(main())
