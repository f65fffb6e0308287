"""What a case costs the orchestrator itself, in one process and with local workers.

    python -m benchmarks.orchestrator [FEW MANY [TURNS [OTHER_BUILD]]]

CPU time of that one process, neither its workers nor QEMUs counted: what it takes more for MANY
cases than for FEW. Where there are enough CPUs it bounds the cases per second, which two CPUs
cannot show: one process that needs P ms a case makes at most 1000/P of them a second, and with N
workers there are at most N times that, and 1000/O for an orchestrator that needs O ms.

Given the folder of another build (a worktree), that is measured in the same turns.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import MATRIX, cpu_seconds, report
from benchmarks.throughput import make_world

FEW, MANY = 1000, 4000
TURNS = 3
WORKERS = "4"
SHARE_BOUND = 0.5
"""So that twice as many cases a second are possible."""
SOURCE = Path(__file__).with_name("fake_qemu.c")
OURS = Path(__file__).parents[1]


def main() -> int:
    """Measure both ways, in turns; of each the least counts: others may use this machine, too."""
    given = [int(each) for each in sys.argv[1:4]]
    few, many, turns = (*given, *(FEW, MANY, TURNS)[len(given) :])
    builds = [OURS, *map(Path, sys.argv[4:5])]
    with tempfile.TemporaryDirectory(prefix="matrix-benchmark-", dir=_fast_folder()) as folder:
        roots = {cases: _make_world(Path(folder), cases) for cases in (few, many)}
        spent: dict[tuple[Path, bool, int], list[float]] = {}
        for turn in range(turns):
            for build in builds:
                for workers in (False, True):
                    for cases, root in roots.items():
                        found = spent.setdefault((build, workers, cases), [])
                        found.append(_run(build, root, f"out{turn}", workers=workers))
    kept = []
    for build in builds:
        alone, shared = (
            (min(spent[build, workers, many]) - min(spent[build, workers, few]))
            / (many - few)
            * 1000
            for workers in (False, True)
        )
        print(
            f"{build.name}: {alone:.2f} ms a case in one process, {shared:.2f} ms with workers, so"
            f" that {alone / shared:.1f} times as many cases a second are possible"
        )
        if build is OURS:
            kept = [report("with workers / in one process", shared / alone, SHARE_BOUND, "")]
    return 0 if all(kept) else 1


def _fast_folder() -> str | None:
    """Where no disk is waited for, if there is such a place."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() else None


def _make_world(folder: Path, cases: int) -> Path:
    root = folder / str(cases)
    make_world(root, cases)
    qemu = root / "qemu/qemu-system-x86_64"
    qemu.unlink()
    subprocess.run(("cc", "-O2", "-o", qemu, SOURCE), check=True)
    return root


def _run(build: Path, root: Path, run: str, *, workers: bool) -> float:
    """Seconds of CPU time that a run takes its orchestrator."""
    environment = {name: str(root / name) for name in ("MATRIX_CACHE", "MATRIX_STATE")}
    environment["PYTHONPATH"] = str(build)
    shutil.rmtree(root / run, ignore_errors=True)
    words = ("run", "scenario.yaml", "--qemu", "fake=qemu", "--no-history", "-o", run, "-j", "4")
    command = (*MATRIX, *words, *(("--workers", WORKERS) if workers else ()))
    seconds = cpu_seconds(command, cwd=root, environment=environment)
    shutil.rmtree(root / run)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
