"""What a virtual KVM host costs: a cold boot to a proven KVM, and a start from its saved state to a
first result.

    python -m benchmarks.virtual_host [ARCH…]

CPU seconds of the QEMU, in turns, so that other work on the machine bears on both alike. Not among
the benchmarks that run by default: it gets Debian's kernels.
"""

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import report
from matrix.hosts.binary_probe import probe_binary
from matrix.hosts.virtual.host_options import parse_option
from matrix.hosts.virtual.l1_guest import VirtualGuest
from matrix.hosts.virtual.starter import Starter
from matrix.hosts.virtual.vmm import proving_cases, run_case
from matrix.model import Architecture

ROUNDS = 3
RATIO_BOUND = 0.25
DISK_BOUND = 150.0
"""MiB, of all that is kept for a host."""
SECONDS = 60.0


def cpu_seconds(guest: VirtualGuest) -> float:
    """User and system time of its QEMU so far (proc(5), ``/proc/PID/stat``)."""
    process = guest.session.process
    if process is None:
        raise RuntimeError("there is no QEMU")
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def started(starter: Starter, logs: Path, *, result: bool) -> float:
    """CPU seconds of one start, to a first result where one is wanted."""
    async with starter.start(logs) as guest:
        if result:
            case = next(proving_cases(starter.settings.architecture))
            await run_case(guest, case, SECONDS, lambda _: None)
        return cpu_seconds(guest)


async def measure(architecture: Architecture, folder: Path) -> bool:
    """Measure one architecture; whether it keeps its bounds."""
    path = shutil.which(f"qemu-system-{architecture.value}")
    if path is None:
        print(f"{architecture.value}: no QEMU")
        return False
    binary = (await probe_binary("system", architecture, Path(path))).binary
    settings = parse_option(f"{architecture.value}=debian-13")
    warm = Starter(settings, binary, folder, lambda _: None)
    cold = replace(warm, cold=True)
    await started(warm, folder / "logs-0", result=False)
    ratios: list[float] = []
    for number in range(1, ROUNDS + 1):
        boot = await started(cold, folder / f"logs-cold-{number}", result=False)
        start = await started(warm, folder / f"logs-warm-{number}", result=True)
        ratios.append(start / boot)
        print(f"{architecture.value}: boot {boot:.2f} s, saved state {start:.2f} s of CPU")
    kept = [each for name in ("images", "snapshots") for each in (folder / name).rglob("*")]
    size = sum(each.lstat().st_blocks * 512 for each in kept if each.is_file()) / (1 << 20)
    return all(
        [
            report(f"{architecture.value}, ratio", statistics.median(ratios), RATIO_BOUND, ""),
            report(f"{architecture.value}, disk", size, DISK_BOUND, "MiB"),
        ]
    )


def main() -> int:
    """Measure the architectures that are named; aarch64 where none is."""
    kept = []
    for name in sys.argv[1:] or ["aarch64"]:
        with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as folder:
            kept.append(asyncio.run(measure(Architecture(name), Path(folder))))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
