"""What the benchmarks share: timing whole commands, and saying what came of it."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MATRIX = (sys.executable, "-m", "matrix")


@dataclass(frozen=True)
class Spent:
    """What one command took."""

    seconds: float
    peak_memory: int
    """Bytes resident at most, of the largest process in it."""
    status: int


def spend(
    command: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Spent:
    """Run a command with its output thrown away, and with Python's bytecode cached, as it is for
    users, whatever this environment says."""
    start = time.perf_counter()
    process = _start(command, cwd, environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    return Spent(seconds, usage.ru_maxrss * 1024, process.returncode)


def cpu_seconds(
    command: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> float:
    """Run a command as :func:`spend` does; seconds of CPU time of that process, its children not
    counted."""
    process = _start(command, cwd, environment)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    seconds = cpu_so_far(process.pid)
    if process.wait():
        sys.exit(f"a run ended with {process.returncode}")
    return seconds


def cpu_so_far(process: int) -> float:
    """Seconds of CPU time that a process has used, its children not counted."""
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _start(
    command: Sequence[str], cwd: Path | None, environment: Mapping[str, str] | None
) -> "subprocess.Popen[bytes]":
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.Popen(
        command,
        cwd=cwd,
        env={**inherited, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def fastest(spent: Sequence[Spent]) -> float:
    """The least seconds of several runs: what is left when noise is at its least."""
    return min(each.seconds for each in spent)


def report(what: str, value: float, bound: float, unit: str, *, at_least: bool = False) -> bool:
    """Print one result; whether it keeps its bound."""
    kept = value >= bound if at_least else value <= bound
    relation = "at least" if at_least else "at most"
    mark = "ok  " if kept else "MISS"
    print(f"{mark}  {what}: {value:.3g} {unit} ({relation} {bound:g})", flush=True)
    return kept


def spread(spent: Sequence[Spent]) -> str:
    """Least, median and greatest seconds, in words."""
    seconds = [each.seconds for each in spent]
    middle = statistics.median(seconds)
    return f"{min(seconds):.2f} / {middle:.2f} / {max(seconds):.2f} s of {len(seconds)} runs"
