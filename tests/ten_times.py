"""Runs the whole suite ten times in a row, every other time beside two busy loops.

    make ten-times                       or  python tests/ten_times.py
    python tests/ten_times.py --runs 4 tests/vm -k storm

A test that passes nine times of ten is a defect of the test or of the product, and hides the next
one. ``build/ten-times`` keeps a log and a JUnit file of each run; a table says how each one went.
Exits 1 where a test failed in any of them, or a run came to no end of its own.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

ROOT = Path(__file__).parents[1]
RUNS = 10
LOOPS = 2
# Ends by itself where whoever started it was killed and could not end it.
LOOP = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"
PYTEST = ("-m", "pytest", "-n", os.environ.get("PYTEST_JOBS", "auto"), "-q")
GRACE = 60.0
"""Seconds that pytest has to tear down in when it is interrupted."""
ROW = "{:>3}  {:<5}  {:>6}  {:>6}  {:>7}  {:>7}  {}"


@dataclass(frozen=True, slots=True)
class Result:
    """How one run of the suite went."""

    number: int
    busy: bool
    passed: int
    skipped: int
    failed: tuple[str, ...]
    """By name; a run without a report failed as a whole."""
    seconds: float

    def row(self) -> str:
        """A line of the table."""
        wall = f"{self.seconds // 60:.0f}:{self.seconds % 60:02.0f}"
        kind = "busy" if self.busy else "quiet"
        names = ", ".join(self.failed)
        failed = len(self.failed)
        return ROW.format(
            self.number, kind, self.passed, failed, self.skipped, wall, names
        ).rstrip()


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes that do nothing but use a CPU each, until the end of the block."""
    loops: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            loops.append(subprocess.Popen((sys.executable, "-ISc", LOOP, str(os.getpid()))))
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def run_suite(number: int, folder: Path, words: Sequence[str], *, busy: bool) -> Result:
    """Run the suite once; its output goes to ``folder``."""
    report = folder / f"{number}.xml"
    command = (sys.executable, *PYTEST, f"--junitxml={report}", *words)
    begun = time.monotonic()
    with (folder / f"{number}.log").open("wb") as log, busy_loops(LOOPS if busy else 0):
        # In a group of its own, workers and all, so that it can be ended as a whole.
        suite = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
        )
        try:
            status = suite.wait()
        finally:
            _end(suite)
    return read_report(report, number, status, time.monotonic() - begun, busy=busy)


def _end(suite: subprocess.Popen[bytes]) -> None:
    if suite.poll() is None:
        suite.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):  # then it is killed
            suite.wait(GRACE)
    with contextlib.suppress(ProcessLookupError):  # nothing of it is left
        os.killpg(suite.pid, signal.SIGKILL)
    suite.wait()


def read_report(path: Path, number: int, status: int, seconds: float, *, busy: bool) -> Result:
    """What the JUnit file says, against pytest's exit status."""
    passed, skipped, failed = 0, 0, []
    for case in cases(path):
        kinds = {type(result) for result in case.result}
        if kinds & {Failure, Error}:
            failed.append(f"{case.classname}::{case.name}")
        elif Skipped in kinds:
            skipped += 1
        else:
            passed += 1
    if status and not failed:
        failed.append(f"pytest exited with status {status}")
    return Result(number, busy, passed, skipped, tuple(failed), seconds)


def cases(path: Path) -> Iterator[TestCase]:
    """Every test of a JUnit file; none where there is no file."""
    if not path.exists():
        return
    for suite in JUnitXml.fromfile(str(path)):
        assert isinstance(suite, TestSuite)
        yield from suite


def main(arguments: Sequence[str]) -> int:
    """Run all, print the table as it grows, and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--output", type=Path, default=ROOT / "build/ten-times")
    options, words = parser.parse_known_args(arguments)
    # As an interrupt: what was started is ended on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options.output.mkdir(parents=True, exist_ok=True)
    print(ROW.format("run", "", "passed", "failed", "skipped", "wall", "failed tests").rstrip())
    results = []
    for number in range(1, options.runs + 1):
        (options.output / f"{number}.xml").unlink(missing_ok=True)
        results.append(run_suite(number, options.output.resolve(), words, busy=number % 2 == 0))
        print(results[-1].row(), flush=True)
    return int(any(result.failed for result in results))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
