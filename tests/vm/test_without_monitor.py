"""Programs that run a guest but have no monitor, as kvmtool: the fake one, started without."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.attempt import Ending, Outcome
from matrix.model import ExitChannel, Launch
from matrix.vm.machine import Limits, run_guest

LIMITS = Limits(timeout=60, stall=60)
Run = Callable[..., Outcome]


@pytest.fixture
def run(private: Path, fake_launch: Callable[..., Launch]) -> Run:
    def run_it(limits: Limits = LIMITS, **script: Any) -> Outcome:
        launch = replace(
            fake_launch(**script),
            channel=ExitChannel.CONSOLE,
            program="kvmtool",
            monitor=False,
        )
        return asyncio.run(run_guest(launch, private, limits))

    return run_it


def test_a_guest_that_ends(run: Run, private: Path) -> None:
    outcome = run(cont=[["stdout", "EXIT: STATUS=1\n"], ["exit", 0]])
    assert (outcome.ending, outcome.exit_status) == (Ending.EXITED, 0)
    assert outcome.last_line == "EXIT: STATUS=1"
    assert {path.name for path in private.iterdir()} == {"console.log", "qemu.log"}


def test_a_guest_that_prints_nothing_has_run_all_the_same(run: Run) -> None:
    assert run(cont=[["exit", 0]]).ending is Ending.EXITED


def test_a_program_that_refuses(run: Run) -> None:
    outcome = run(start=[["stderr", "  Warning: old\n  Fatal: no such thing\n"], ["exit", 128]])
    assert (outcome.ending, outcome.exit_status) == (Ending.REFUSED, 128)
    assert outcome.reason == "Fatal: no such thing"


def test_a_program_that_gives_up_later(run: Run) -> None:
    outcome = run(cont=[["stdout", "PASS: a\n"], ["stderr", "KVM_RUN failed\n"], ["exit", 1]])
    assert (outcome.ending, outcome.exit_status) == (Ending.EXITED, 1)


def test_a_program_that_is_killed_is_named(run: Run) -> None:
    outcome = run(cont=[["stdout", "PASS: a\n"], ["signal", 11]])
    assert (outcome.ending, outcome.signal) == (Ending.KILLED, 11)
    assert outcome.reason == "kvmtool was killed by SIGSEGV"


def test_a_guest_that_sleeps_for_good(run: Run) -> None:
    outcome = run(Limits(timeout=60, stall=2), cont=[["stdout", "here\n"], ["sleep", 100]])
    assert outcome.ending is Ending.STALL
    assert outcome.doing == "0 of its 1 threads work"


def test_a_guest_that_never_ends(run: Run, private: Path) -> None:
    outcome = run(Limits(timeout=1.5, stall=60), cont=[["stdout", "here\n"], ["spin", None]])
    assert outcome.ending is Ending.TIMEOUT
    assert outcome.doing == "1 of its 1 threads work"
    assert (private / "diagnosis/threads.txt").exists()
    assert not (private / "diagnosis/registers.txt").exists()


def test_its_input_neither_says_anything_nor_ends(private: Path) -> None:
    program = "import select, sys; print(select.select([sys.stdin], [], [], 0.5)[0])"
    launch = Launch((sys.executable, "-I", "-S", "-c", program), ExitChannel.CONSOLE, monitor=False)
    outcome = asyncio.run(run_guest(launch, private, LIMITS))
    assert outcome.last_line == "[]"


def test_a_program_that_is_the_test_itself(private: Path) -> None:
    """It has run, whatever its status, and both of its streams are its output."""
    code = "import os; os.write(1, b'out\\n'); os.write(2, b'err\\n'); os._exit(4)"
    launch = Launch((sys.executable, "-I", "-S", "-c", code), ExitChannel.STATUS, monitor=False)
    outcome = asyncio.run(run_guest(launch, private, LIMITS))
    assert (outcome.ending, outcome.exit_status) == (Ending.EXITED, 4)
    assert (private / "console.log").read_text() == "out\nerr\n"
    silent = replace(launch, argv=("sh", "-c", "exit 254"))
    folder = private / "silent"
    folder.mkdir(mode=0o700)
    outcome = asyncio.run(run_guest(silent, folder, LIMITS))
    assert (outcome.ending, outcome.exit_status) == (Ending.EXITED, 254)
