"""Guests whose disk is served by a process that does not live as long as they do."""

import asyncio
import contextlib
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from matrix.attempt import Attempt
from matrix.hosts.contents import Contents
from matrix.hosts.interface import Assignment, Console, HopDone
from matrix.hosts.local.executor import LocalExecutor
from matrix.inventory import Binary, Host, Inventory
from matrix.migrating import Migration, MigrationMode, Strategy
from matrix.model import Accelerator, Architecture, Case, Test, Variant
from matrix.plan.decisions import Run
from matrix.results.recorder import Recorder
from matrix.suites.build import builtin_build
from matrix.suites.unittests import read_tests
from matrix.verdicts import Verdict
from tests.fake_world import FAKE

X86 = Architecture.X86_64
KILLED = "the process that serves the disk was killed by SIGKILL"
PASSES = [["stdout", "PASS: disk-integrity: it\n"]]
Starter = Callable[..., Recorder]
KILLER = """import sys, psutil
for each in psutil.Process(int(sys.argv[1])).children():
    if "matrix.vhost_user" in each.cmdline():
        each.kill()
"""


def servers() -> list[psutil.Process]:
    found = []
    for each in psutil.Process().children():
        with contextlib.suppress(psutil.ZombieProcess):  # a QEMU that has just ended
            if "matrix.vhost_user" in each.cmdline():
                found.append(each)
    return found


def kill_servers(_: Console | HopDone) -> None:
    for each in servers():
        each.kill()


def stop_servers(_: Console | HopDone) -> None:
    for each in servers():
        each.suspend()
        while each.status() != psutil.STATUS_STOPPED:
            pass


def guest() -> Test:
    tests = {each.name: each for each in read_tests(builtin_build(X86), max_smp=2)}
    return tests["disk-integrity-vhost-user"]


def ended(
    start: Starter,
    qemu: str,
    on_event: Callable[[Console | HopDone], None],
    migration: Migration | None = None,
) -> Attempt:
    """What a case comes to whose disk is served."""
    variant, build = Variant(X86, Accelerator.TCG), builtin_build(X86)
    case = Case("s.disk", "s", "kvm-unit-tests", guest(), variant, build, migration=migration)
    decision = Run(case, Accelerator.TCG, "asked for", 1, 2**28)
    recorder = start(decision)
    directory = recorder.begin(case, 1)
    binary = Binary("system", X86, qemu, (7, 2, 0), "7.2.0", sandbox=True)
    inventory = Inventory(Host("x86_64", "6.1.0", 2, 2**33), binaries=(binary,))
    executor = LocalExecutor(inventory, recorder.run, Contents())
    assignment = Assignment("1", decision, 1, recorder.run.relative(directory), seed=5)
    attempt = asyncio.run(executor.execute(assignment, on_event)).attempt
    assert attempt is not None
    assert psutil.Process().children() == []
    return attempt


def fake_qemu(folder: Path, script: dict[str, object], before: str = "") -> str:
    """The path of a QEMU that plays the script, once that Python has run."""
    program, played = folder / "qemu-fake", folder / "script.json"
    played.write_text(json.dumps(script))
    python = shlex.quote(sys.executable)
    lines = [
        "#!/bin/sh",
        f"{python} -c {shlex.quote(before)} $PPID" if before else "",
        f"FAKE_QEMU=$(cat {shlex.quote(str(played))})",
        "export FAKE_QEMU",
        f'exec {python} -I -S {FAKE} "$@"',
    ]
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o755)
    return str(program)


def nothing(_: Console | HopDone) -> None:
    pass


REFUSES = [["stderr", "qemu: Failed to connect to 'disk.sock': Connection refused\n"], ["exit", 1]]


@pytest.mark.parametrize("script", [{"start": REFUSES}, {"cont": PASSES}])
def test_it_is_gone_before_qemu_starts(
    tmp_path: Path, start: Starter, script: dict[str, object]
) -> None:
    """Whatever the QEMU or the guest says then, and it is not "refused", which is a skip."""
    qemu = fake_qemu(tmp_path, script, KILLER)
    attempt = ended(start, qemu, nothing)
    assert (attempt.verdict, attempt.reason) == (Verdict.ERROR, KILLED)


def test_it_ends_while_the_guest_runs(tmp_path: Path, start: Starter) -> None:
    """The guest is ended at once, long before its time is over."""
    qemu = fake_qemu(tmp_path, {"cont": [["stdout", "here\n"], ["serve", None]]})
    attempt = ended(start, qemu, kill_servers)
    assert (attempt.verdict, attempt.reason) == (Verdict.ERROR, KILLED)


def test_it_is_stopped(tmp_path: Path, start: Starter) -> None:
    """Nothing tells of that: the guest has its time, and the verdict says whose fault it was."""
    qemu = fake_qemu(tmp_path, {"cont": [["stdout", "FAIL: disk-integrity: no answer\n"]]})
    attempt = ended(start, qemu, stop_servers)
    reason = "the process that serves the disk was stopped by a signal"
    assert (attempt.verdict, attempt.reason) == (Verdict.ERROR, reason)


def test_it_serves_to_the_end(tmp_path: Path, start: Starter) -> None:
    attempt = ended(start, fake_qemu(tmp_path, {"cont": PASSES}), nothing)
    assert attempt.verdict is not Verdict.ERROR, attempt.reason
    (script,) = tmp_path.glob("run0/cases/*/command.sh")
    said = script.read_text().splitlines()
    (told,) = (line for line in said if line.startswith("# Its disk must be served first: "))
    path = told.rpartition("addr.path=")[2]
    assert told.endswith(
        f"mkdir -m 700 {Path(path).parent}; qemu-storage-daemon --blockdev "
        f"file,node-name=disk,filename={script.parent}/disk.img --export "
        f"vhost-user-blk,id=disk,node-name=disk,writable=on,addr.type=unix,addr.path={path}"
    )
    assert any(f",path={path} " in line for line in said)


@pytest.mark.qemu
def test_it_ends_after_a_hop(start: Starter) -> None:
    """No destination that finds nobody to connect to is blamed."""
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    hopped: list[HopDone] = []

    def after_a_hop(event: Console | HopDone) -> None:
        if isinstance(event, HopDone):
            hopped.append(event)
            kill_servers(event)

    migration = Migration(
        mode=MigrationMode.CONTINUOUS, strategies=(Strategy.PRECOPY,), hops=50, pace=0.0
    )
    attempt = ended(start, qemu, after_a_hop, migration)
    assert hopped
    assert (attempt.verdict, attempt.reason) == (Verdict.ERROR, KILLED)
    assert attempt.migration is not None
