"""Hops of this build beside those of an older one, in turn: how many a second, and our own CPU.

    python -m benchmarks.hops OLDER [--accel tcg] [--guest hang] [--rounds 5]

OLDER is a working tree of the older build. Each round makes one chain with either build, each in a
process of its own: what the host does besides falls on both. Of CPU the least counts, of hops a
second the median of the rounds' ratios.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
GUESTS = ("hang", "ram-integrity")
"""One that does nothing, and one that has to show after each hop that it lives."""


def measure(guest: str, accel: str, hops: int) -> dict[str, float]:
    """One chain with whichever build is in PYTHONPATH: hops a second, and ms of CPU per hop."""
    # Of that build's tree: the names that it is called by are those of both.
    from benchmarks.migration import chain, emulator
    from matrix.migrating import Migration, MigrationMode
    from matrix.model import Accelerator

    migration = Migration(mode=MigrationMode.CONTINUOUS, pace=0.0)
    source = emulator(guest, Accelerator(accel), migration)
    before = resource.getrusage(resource.RUSAGE_SELF)
    _, made = chain(source, migration, stop_after=hops)
    after = resource.getrusage(resource.RUSAGE_SELF)
    if bad := [hop.reason for hop in made if not hop.good]:
        sys.exit(f"a hop went wrong: {bad[0]}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    qemus = resource.getrusage(resource.RUSAGE_CHILDREN)
    elapsed = made[-1].begun + made[-1].seconds - made[0].begun
    return {
        "rate": len(made) / elapsed,
        "own": 1e3 * spent / len(made),
        "qemu": 1e3 * (qemus.ru_utime + qemus.ru_stime) / len(made),
    }


def measured(tree: Path, guest: str, accel: str, hops: int) -> dict[str, float]:
    """The same in a process of its own, with the build in ``tree``."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", guest, "--accel", accel, "--hops", str(hops)],
        env={**os.environ, "PYTHONPATH": str(tree)},
        cwd=tree,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(older: Path, guest: str, accel: str, rounds: int, hops: int) -> None:
    """Rounds of one chain each, and what came of them."""
    pairs = [
        tuple(measured(tree, guest, accel, hops) for tree in (older, HERE)) for _ in range(rounds)
    ]
    rates = [new["rate"] / old["rate"] for old, new in pairs]
    old_rates, new_rates = ([each[side]["rate"] for each in pairs] for side in (0, 1))
    print(
        f"{guest}, {accel}: hops a second {min(old_rates):.1f}-{max(old_rates):.1f} -> "
        f"{min(new_rates):.1f}-{max(new_rates):.1f}, x {statistics.median(rates):.2f} "
        f"({min(rates):.2f}-{max(rates):.2f})"
    )
    for name, what in (("own", "own CPU"), ("qemu", "QEMUs' CPU")):
        old, new = (min(each[side][name] for each in pairs) for side in (0, 1))
        print(f"  {what} per hop, least: {old:.1f} -> {new:.1f} ms, x {new / old:.2f}", flush=True)


def main() -> int:
    """Measure, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("older", type=Path, nargs="?")
    parser.add_argument("--accel", choices=("kvm", "tcg"), action="append")
    parser.add_argument("--guest", choices=GUESTS, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hops", type=int, default=40)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.accel[0], options.hops)))
        return 0
    if options.older is None:
        parser.error("name the working tree of an older build")
    for guest in options.guest or GUESTS:
        for accel in options.accel or ("tcg", "kvm"):
            compare(options.older.resolve(), guest, accel, options.rounds, options.hops)
    return 0


if __name__ == "__main__":
    sys.exit(main())
