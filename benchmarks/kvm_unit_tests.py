"""This program and kvm-unit-tests' own runner side by side, on a build directory that you name.

    python -m benchmarks.kvm_unit_tests BUILD [-j N] [--qemu NAME=DIR] [--tests PATTERN…]

Prints the wall time of both, their ratio, how far ours is from the least that is possible with so
many jobs, and every test whose verdict differs. Both run the same tests under TCG with the same
QEMU, the same number of jobs and of vCPUs for ``$MAX_SMP``; tests in the group migration are left
out of both. Give ``--bound RATIO`` to have it exit 1 above that.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.measure import MATRIX, report, spend
from matrix.model import Build
from matrix.suites.build import read_build
from matrix.suites.unittests import read_tests

CPUS = len(os.sched_getaffinity(0))
"""What its runner takes for MAX_SMP."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LINE = re.compile(r"(PASS|FAIL|SKIP|XFAIL)\S* (\S+) ?(.*)")

SAME = {
    "PASS": {"pass"},
    "FAIL": {"fail", "timeout", "stall"},
    "SKIP": {"skip"},
    "XFAIL": {"xfail"},
}
"""Its words and ours for the same thing."""


def main() -> int:
    """Run both and compare."""
    options = _options()
    build = read_build(options.build)
    names = [
        test.name
        for test in read_tests(build, max_smp=CPUS)
        if not {"migration", "nodefault"} & set(test.groups)
        and any(fnmatchcase(test.name, pattern) for pattern in options.tests)
    ]
    with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as folder:
        ours, our_seconds = _matrix(build, names, options, Path(folder))
    theirs, their_seconds = _own_runner(build, names, options)
    for name in names:
        their, our = theirs.get(name, ("none", "")), ours.get(name, ("none", "", 0.0))
        if our[0] not in SAME.get(their[0], set()):
            print(f"differs  {name}: {their[0]} {their[1]} | {our[0]}: {our[1]}")
    print(f"own runner {their_seconds:.1f} s, matrix {our_seconds:.1f} s, {len(names)} tests")
    spent = [seconds for _, _, seconds in ours.values()]
    least = max(max(spent), sum(spent) / options.jobs)
    print(
        f"QEMUs of matrix: {sum(spent):.1f} s, the longest {max(spent):.1f} s; in"
        f" {our_seconds / least:.2f} times the least that {options.jobs} jobs could take"
    )
    ratio = our_seconds / their_seconds
    kept = report(f"{build.architecture} with {options.jobs} jobs", ratio, options.bound, "times")
    return 0 if kept else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=Path, help="a kvm-unit-tests build directory")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("--bound", type=float, default=1.0, help="ratio to keep")
    parser.add_argument("--qemu", metavar="NAME=DIR", default="", help="instead of the system's")
    parser.add_argument("--tests", nargs="+", default=["*"], metavar="PATTERN", help="only these")
    return parser.parse_args()


def _matrix(
    build: Build, names: list[str], options: argparse.Namespace, root: Path
) -> tuple[dict[str, tuple[str, str, float]], float]:
    name, _, folder = options.qemu.partition("=")
    scenario = {
        "name": "own-runner",
        "suite": {"kind": "kvm-unit-tests", "tests": names, "max_smp": CPUS},
        "matrix": {
            "arch": [build.architecture.value],
            "accel": ["tcg"],
            "qemu": [name or "system"],
        },
    }
    (root / "scenario.yaml").write_text(json.dumps(scenario))  # which is YAML too
    command = [*MATRIX, "run", "scenario.yaml", "-j", str(options.jobs), "-o", "run"]
    command += ["--build", f"{build.architecture}={build.directory}"]
    command += ["--qemu", f"{name}={Path(folder).absolute()}"] if name else []
    spent = spend(command, cwd=root, environment={"PYTHONPATH": str(Path.cwd())})
    cases = json.loads((root / "run/results.json").read_text())["cases"]
    verdicts = {case["test"]: (case["verdict"], case["reason"], case["seconds"]) for case in cases}
    return verdicts, spent.seconds


def _own_runner(
    build: Build, names: list[str], options: argparse.Namespace
) -> tuple[dict[str, tuple[str, str]], float]:
    with tempfile.TemporaryFile("w+") as output:
        command = ["./run_tests.sh", "-j", str(options.jobs), *names]
        environment = {**os.environ, "ACCEL": "tcg"}
        if options.qemu:
            program = f"qemu-system-{build.architecture.value}"
            folder = Path(options.qemu.partition("=")[2]).absolute()
            environment["QEMU"] = str(folder / "bin" / program)
        began = time.perf_counter()
        subprocess.run(
            command,
            cwd=build.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        seconds = time.perf_counter() - began
        output.seek(0)
        lines = [_COLOUR.sub("", line) for line in output]
    found = (match for line in lines if (match := _LINE.match(line)))
    return {match[2]: (match[1], match[3]) for match in found}, seconds


if __name__ == "__main__":
    sys.exit(main())
