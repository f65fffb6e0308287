"""What a virtual KVM host costs.

    python -m benchmarks.virtual_host [--qemu DIR] [--selftests BUILD] [ARCH…]

For each architecture: CPU seconds of everything from Debian's packages, unpacked, to a proven host;
those of the QEMU for a cold boot and for a start from the saved state to a first result, in turns,
so that other work on the machine bears on both alike; CPU seconds of everything for a program that
does nothing, run as a case is; and what is kept on disk. With a build of KVM selftests for aarch64,
how long they take. Not among the benchmarks that run by default: it gets Debian's kernels.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import MATRIX, report, spend
from matrix.hosts.binary_probe import probe_binary
from matrix.hosts.contents import Contents, with_names
from matrix.hosts.interface import Assignment, Executor
from matrix.hosts.virtual.debian import fetch
from matrix.hosts.virtual.host_options import parse_option
from matrix.hosts.virtual.l1_guest import VirtualGuest
from matrix.hosts.virtual.starter import Starter
from matrix.hosts.virtual.virtual_host import VirtualHost
from matrix.hosts.virtual.vmm import proving_cases, run_case
from matrix.inventory import Binary, Host, Inventory
from matrix.model import Accelerator, Architecture, Build, Case, Target, Test, Variant
from matrix.plan.decisions import Run
from matrix.vm.process import Process
from matrix.vm.tool import run_tool

RELEASE = "debian-13"
ROUNDS = 3
FIRST_BOUND = 15.0
"""CPU seconds, of aarch64."""
RATIO_BOUND = 0.25
CASES = 20
CASE_BOUND = 0.15
"""CPU seconds."""
DISK_BOUND = 150.0
"""MiB, of all that is kept for a host."""
SELFTESTS_BOUND = 35.5
"""Seconds: half of what 30 took one after the other, with limits of 10 s, on a busy machine."""
SECONDS = 60.0
COMPILERS = {
    Architecture.AARCH64: "aarch64-linux-gnu-gcc",
    Architecture.X86_64: "x86_64-linux-gnu-gcc",
    Architecture.RISCV64: "riscv64-linux-gnu-gcc",
    Architecture.PPC64: "powerpc64le-linux-gnu-gcc",
}


def qemu_seconds(guest: VirtualGuest) -> float:
    """CPU time of its QEMU so far (proc(5), ``/proc/PID/stat``)."""
    process = guest.session.process
    if not isinstance(process, Process):
        raise TypeError("there is no QEMU of this machine")
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """CPU time so far of this process and of all that it started and that ended."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


async def started(starter: Starter, logs: Path, *, result: bool) -> float:
    """CPU seconds of the QEMU of one start, to a first result where one is wanted."""
    async with starter.start(logs) as guest:
        if result:
            case = next(proving_cases(starter.settings.architecture))
            await run_case(guest, case, SECONDS, lambda _: None)
        return qemu_seconds(guest)


async def of_a_case(starter: Starter, folder: Path) -> float | None:
    """CPU seconds of everything for one more program that does nothing; None without compiler."""
    architecture = starter.settings.architecture
    compiler = shutil.which(COMPILERS[architecture])
    if compiler is None:
        return None
    program = folder / "nothing"
    source = program.with_suffix(".c")
    source.write_text("int main(void) { return 0; }\n")
    await run_tool([compiler, "-static", "-O2", "-o", str(program), str(source)], SECONDS)
    facts = Inventory(Host("x86_64", "", 2, 1 << 32))
    host, contents = VirtualHost(starter, facts, programs=(str(program),)), Contents()
    build = Build(architecture, "", "", target=Target.PROGRAM)
    variant = Variant(architecture, Accelerator.KVM)
    run = folder / "run"
    run.mkdir()

    async def attempt(executor: Executor, number: int) -> None:
        test = Test("nothing", str(program), timeout=SECONDS)
        case = Case(f"s.{number}", "s", "kvm-selftests", test, variant, build)
        decision, files = with_names(Run(case, Accelerator.KVM, "", 1, 1 << 28), contents)
        (run / str(number)).mkdir()
        assignment = Assignment(str(number), decision, 1, str(number), files)
        ended = await executor.execute(assignment, lambda _: None)
        if ended.attempt is None or not ended.attempt.verdict.good:
            raise RuntimeError(f"the program did not pass: {ended.attempt}")

    async def spent(cases: range) -> float:
        before = own_seconds()
        async with host.open(run, contents) as executor:
            for number in cases:
                await attempt(executor, number)
        return own_seconds() - before

    one = await spent(range(1))
    return (await spent(range(1, CASES + 2)) - one) / CASES


async def measure(architecture: Architecture, folder: Path, qemu: Path | None) -> bool:
    """Measure one architecture; whether it keeps its bounds."""
    name = architecture.value
    path = shutil.which(f"qemu-system-{name}", path=None if qemu is None else str(qemu))
    if path is None:
        print(f"{name}: no QEMU")
        return False
    binary: Binary = (await probe_binary("system", architecture, Path(path))).binary
    print(f"{name}: QEMU {binary.version_text}")
    packages = folder / "debian" / f"{RELEASE}-{name}"
    await fetch(RELEASE, architecture, packages, print)
    warm = Starter(parse_option(f"{name}={RELEASE}"), binary, folder, lambda _: None)
    cold = replace(warm, cold=True)
    before = own_seconds()
    await started(warm, folder / "logs-0", result=False)
    first = own_seconds() - before
    kept = [True]
    if architecture is Architecture.AARCH64:
        kept.append(report(f"{name}, first host", first, FIRST_BOUND, "s of CPU"))
    else:
        print(f"{name}: first host {first:.2f} s of CPU")
    ratios: list[float] = []
    for number in range(1, ROUNDS + 1):
        boot = await started(cold, folder / f"logs-cold-{number}", result=False)
        start = await started(warm, folder / f"logs-warm-{number}", result=True)
        ratios.append(start / boot)
        print(f"{name}: boot {boot:.2f} s, saved state {start:.2f} s of CPU")
    case = await of_a_case(warm, folder)
    if case is not None:
        kept.append(report(f"{name}, a case", case, CASE_BOUND, "s of CPU"))
    files = [each for part in ("images", "snapshots") for each in (folder / part).rglob("*")]
    size = sum(each.lstat().st_blocks * 512 for each in files if each.is_file()) / (1 << 20)
    kept.append(report(f"{name}, ratio", statistics.median(ratios), RATIO_BOUND, ""))
    kept.append(report(f"{name}, disk", size, DISK_BOUND, "MiB"))
    return all(kept)


def selftests(build: Path, folder: Path) -> bool:
    """How long the selftests of a build take, once it is known what each takes."""
    run = [*MATRIX, "run", "kvm-selftests", "--arch", "aarch64", "--timeout", "10s"]
    run += ["--database", str(folder / "history.sqlite")]
    run += ["--build", f"aarch64={build}", "--virtual-host", f"aarch64={RELEASE}"]
    spend([*run, "-o", str(folder / "before")])
    after = folder / "after"
    wall = spend([*run, "-o", str(after)]).seconds
    cases = json.loads((after / "results.json").read_text())["cases"]
    ran = [each for each in cases if each["attempts"]]
    hosts = {attempt["host"] for each in ran for attempt in each["attempts"]}
    seconds = sum(each["seconds"] for each in ran)
    print(f"{len(ran)} of {len(cases)} selftests on {len(hosts)} hosts, {seconds:.1f} s in all")
    return report("selftests", wall, SELFTESTS_BOUND, "s")


def main() -> int:
    """Measure the architectures that are named; aarch64 where none is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.virtual_host")
    parser.add_argument("--qemu", type=Path, help="a folder with QEMUs (default: PATH)")
    parser.add_argument("--selftests", type=Path, help="a build for aarch64, to run, too")
    parser.add_argument("architectures", nargs="*", metavar="ARCH", default=["aarch64"])
    given = parser.parse_args()
    kept = []
    for name in given.architectures:
        with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as folder:
            kept.append(asyncio.run(measure(Architecture(name), Path(folder), given.qemu)))
    if given.selftests is not None:
        with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as folder:
            kept.append(selftests(given.selftests, Path(folder)))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
