"""A case from its decision to its attempt, on this machine, by a kvmtool that we made."""

import asyncio
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.attempt import Attempt
from matrix.hosts.contents import Contents
from matrix.hosts.interface import Assignment
from matrix.hosts.local.executor import LocalExecutor
from matrix.inventory import Host, Inventory
from matrix.model import Accelerator, Architecture, Build, Case, Target, Test, Variant
from matrix.plan.decisions import Run
from matrix.plan.planner import decide
from matrix.results.recorder import Recorder
from matrix.run.dispatch import ignore_event
from matrix.verdicts import Verdict

ARM64 = Architecture.AARCH64
RunOn = Callable[[str], tuple[Attempt, Path]]


@pytest.fixture
def lkvm(tmp_path: Path, start: Callable[..., Recorder]) -> RunOn:
    """Runs a guest under a program in kvmtool's place, which is this shell script."""
    build = Build(ARM64, "/build", "/build/arm", target=Target.KVMTOOL)
    test = Test("timer", "/build/arm/timer.flat", "phys", kvmtool_params=("--irqchip=gicv3",))
    case = Case("s.timer", "s", "kvm-unit-tests", test, Variant(ARM64, Accelerator.AUTO), build)
    case = replace(case, settings=replace(case.settings, timeout=100.0, stall=60.0))
    program = tmp_path / "lkvm"

    def run(script: str) -> tuple[Attempt, Path]:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        host = Host(architecture="aarch64", kernel="6.1.0", cpus=2, memory=2**33)
        inventory = Inventory(host, kvmtool=str(program))
        decision = decide(case, inventory)
        assert isinstance(decision, Run)
        recorder = start(decision)
        directory = recorder.begin(case, 1)
        executor = LocalExecutor(inventory, recorder.run, Contents())
        assignment = Assignment("1", decision, 1, recorder.run.relative(directory))
        ended = asyncio.run(executor.execute(assignment, ignore_event))
        assert ended.attempt is not None
        return ended.attempt, directory

    return run


@pytest.mark.parametrize(
    ("script", "verdict", "reason"),
    [
        ("echo PASS: a; echo SUMMARY: 1 tests; echo EXIT: STATUS=1", Verdict.PASS, "1 tests"),
        ("echo FAIL: a; echo EXIT: STATUS=3", Verdict.FAIL, "1 of 1 subtest failed: a"),
        (
            "echo '  Fatal: no GICv3' >&2; exit 128",
            Verdict.SKIP,
            "kvmtool refused: Fatal: no GICv3",
        ),
        (
            "echo '  Fatal: Unable to open kernel x' >&2; exit 128",
            Verdict.ERROR,
            "kvmtool cannot load it: Fatal: Unable to open kernel x",
        ),
        (
            "echo here; echo 'KVM_RUN failed: Bad address' >&2; exit 1",
            Verdict.CRASH,
            "kvmtool failed with exit status 1: KVM_RUN failed: Bad address",
        ),
        ("echo here; kill -SEGV $$", Verdict.CRASH, "kvmtool was killed by SIGSEGV"),
        (
            "echo here",
            Verdict.FAIL,
            "the guest reset or powered off without reporting a status; last line: here",
        ),
    ],
)
def test_verdicts(lkvm: RunOn, script: str, verdict: Verdict, reason: str) -> None:
    attempt, _ = lkvm(script)
    assert (attempt.verdict, attempt.reason) == (verdict, reason)
    assert attempt.accelerator == "kvm"


def test_its_command_can_be_repeated_by_hand(lkvm: RunOn) -> None:
    _, directory = lkvm('echo "$@"; echo EXIT: STATUS=1')
    said = (directory / "console.log").read_text()
    assert said.startswith("run --kernel /build/arm/timer.flat --cpus 1 --params phys ")
    assert said.splitlines()[0].endswith(" --irqchip=gicv3")
    command = directory / "command.sh"
    assert "# Runs the same kvmtool by hand;" in command.read_text()
    again = subprocess.run([command], capture_output=True, text=True, check=True)
    assert again.stdout == said
