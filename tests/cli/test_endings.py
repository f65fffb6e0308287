"""How a run ends before its end: Ctrl-C, SIGTERM, SIGKILL, a full disk; and that it resumes."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Scripts, World

SLOW = {"cont": [["stdout", "running\n"], ["serve", None]]}
STUBBORN = {"cont": [["stdout", "running\n"], ["serve", None]], "ignore": ["TERM", "quit"]}
NAMES = [f"t{index}" for index in range(8)]


def wait_for_guests(world: Any, test: str, *, attempts: int = 1) -> None:
    """Until so many attempts at a test were begun, and the QEMU of the last is there.

    A QEMU alone may be one that is only asked what it can do, before the run begins.
    """
    case = f"fake.{test}"

    def begun() -> Any:
        events = world.events("attempt-started")
        return sum(event["case"].startswith(case) for event in events) >= attempts

    world.wait_for(lambda: begun() and world.fakes())


def kill_guest(world: Any, test: str) -> None:
    """Kill the QEMU of a test, and not that of the next one, which may be there already."""
    for pid in world.fakes():
        if test.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)


def ended(process: Any) -> tuple[int, str]:
    out, _ = process.communicate(timeout=100)
    return process.returncode, out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_finishes_cleanly(
    world: World, scripts: Scripts, number: signal.Signals
) -> None:
    world.suite(quick=scripts.passing(), slow=SLOW, later=scripts.passing())
    process = world.start(*world.run_arguments("-j", "1", "--repeat", "1"))
    wait_for_guests(world, "slow")
    process.send_signal(number)
    code, out = ended(process)
    assert code == 130
    assert "interrupted" in out
    assert "fake.slow" in out
    assert world.fakes() == []
    assert "slow" not in world.verdicts()
    assert world.run("run", "--resume", "out", "--timeout", "3s").returncode == 2
    resumed = world.start("run", "--resume", "out")
    wait_for_guests(world, "slow", attempts=2)
    resumed.send_signal(number)
    assert ended(resumed)[0] == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(
    world: World, scripts: Scripts, number: signal.Signals
) -> None:
    """As under ``trap '' HUP``, and SIGINT in a shell's background."""
    world.suite(slow=SLOW, later=scripts.passing())
    arguments = world.run_arguments("-j", "1", "--timeout", "100s")
    process = world.start(*arguments, preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    wait_for_guests(world, "slow")
    process.send_signal(number)
    kill_guest(world, "slow")
    code, _ = ended(process)
    assert world.verdicts() == {"slow": "crash", "later": "pass"}
    assert code == 1


@pytest.mark.skipif(shutil.which("nohup") is None, reason="no nohup here")
def test_nohup_protects_a_run_from_the_loss_of_its_terminal(world: World, scripts: Scripts) -> None:
    world.suite(slow=SLOW, later=scripts.passing())
    ours, terminal = os.openpty()
    process = subprocess.Popen(
        # setsid makes the terminal the controlling one, whose loss sends SIGHUP.
        (
            *("setsid", "--ctty", "nohup", sys.executable, "-m", "matrix"),
            *world.run_arguments("-j", "1", "--timeout", "100s"),
        ),
        cwd=world.root,
        env=world.environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    wait_for_guests(world, "slow")
    os.close(ours)
    kill_guest(world, "slow")
    assert process.wait(timeout=100) == 1
    assert world.verdicts() == {"slow": "crash", "later": "pass"}
    assert "1 of 2 passed" in (world.root / "nohup.out").read_text()


def test_two_signals_end_at_once(world: World) -> None:
    """The guest's QEMU ignores TERM, so a clean end takes its grace period; the second does not."""
    world.suite(one=STUBBORN)
    process = world.start(*world.run_arguments())
    wait_for_guests(world, "one")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    code, _ = ended(process)
    assert code == 130
    assert world.fakes() == []


@pytest.mark.parametrize("script", [SLOW, STUBBORN])
def test_no_qemu_outlives_a_killed_orchestrator(world: World, script: Any) -> None:
    world.suite(one=script, two=script)
    process = world.start(*world.run_arguments("-j", "2"))
    world.wait_for(lambda: len(world.fakes()) == 2)
    process.kill()
    ended(process)
    world.wait_for(lambda: world.fakes() == [])


def test_a_run_that_is_killed_anywhere_resumes(world: World, scripts: Scripts) -> None:
    """Kills a run of eight cases at random moments until one comes through."""
    world.suite(**{name: scripts.passing(0.5) for name in NAMES})
    chance = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID", "seed"))
    arguments = world.run_arguments("-j", "2")
    kills = 0
    while kills < 6:
        process = world.start(*arguments)
        if not (world.root / "out/run.json").exists():
            world.wait_for((world.root / "out/run.json").exists)
        try:
            process.wait(timeout=chance.uniform(0.2, 0.9))
        except subprocess.TimeoutExpired:  # it still runs, as it should
            process.kill()
            kills += 1
        ended(process)
        if world.events("run-finished"):
            break
        arguments = ("run", "--resume", "out")
    done = world.run("run", "--resume", "out")
    assert done.returncode == 0
    assert world.verdicts() == dict.fromkeys(NAMES, "pass")
    finished = [event["case"] for event in world.events("attempt-finished")]
    assert len(finished) == len(set(finished)) == len(NAMES), "nothing is lost, nothing runs twice"
    assert kills > 0


def test_chains_of_attempts_that_are_killed_anywhere_resume(world: World, scripts: Scripts) -> None:
    world.suite(good=scripts.passing(0.15), bad=scripts.failing("x"))
    chance = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID", "seed"))
    arguments = world.run_arguments("-j", "2", "--until-fail", "--repeat", "6", "--retries", "3")
    for _ in range(4):
        process = world.start(*arguments)
        world.wait_for((world.root / "out/run.json").exists)
        try:
            process.wait(timeout=chance.uniform(0.1, 0.9))
        except subprocess.TimeoutExpired:
            process.kill()
        ended(process)
        arguments = ("run", "--resume", "out")
    done = world.run("run", "--resume", "out")
    assert done.returncode == 1
    assert world.verdicts() == {"good": "pass", "bad": "fail"}
    for name, attempts in (("good", range(1, 7)), ("bad", range(1, 5))):
        events = [each for each in world.events("attempt-finished") if name in each["case"]]
        assert [each["attempt"]["number"] for each in events] == list(attempts)


def test_a_monitor_that_breaks_the_protocol_is_noted_where_the_case_passes(world: World) -> None:
    said = [["stdout", "PASS: all is well\nSUMMARY: 1 tests\n"], ["qmp", "garbage\n"]]
    world.suite(one={"cont": [*said, ["sleep", 0.1]]}, two={"cont": said[:1]})
    assert world.matrix_run().returncode == 0
    one, two = (case["reason"] for case in world.results()["cases"])
    assert one.startswith("1 tests; QEMU's monitor broke the protocol: ")
    assert two == "1 tests"


def test_resuming_a_finished_run_runs_nothing(world: World, scripts: Scripts) -> None:
    world.suite(bad=scripts.failing("check"))
    assert world.matrix_run().returncode == 1
    assert world.run("run", "--resume", "out").returncode == 1
    assert len(world.events("attempt-started")) == 1


def test_two_processes_do_not_run_the_same(world: World) -> None:
    world.suite(one=SLOW)
    process = world.start(*world.run_arguments())
    wait_for_guests(world, "one")
    second = world.run("run", "--resume", "out")
    process.send_signal(signal.SIGINT)
    ended(process)
    assert second.returncode == 2
    assert "another process" in second.stderr


def test_a_full_disk_is_an_error_with_what_was_finished_intact(
    world: World, scripts: Scripts
) -> None:
    """Files may grow to 20 kB only: the guest that prints more than that fills the disk."""
    flood = {"cont": [["flood", 200_000], ["serve", 1]]}
    world.suite(good=scripts.passing(), flood=flood)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    process = world.start(*world.run_arguments("-j", "1"), preexec_fn=limit)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 3, err
    assert "Traceback" not in err
    assert "console.log" in out + err
    assert world.verdicts()["flood"] == "error"
    finished = {event["case"].split(".")[1] for event in world.events("attempt-finished")}
    assert finished == {"good", "flood"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_directory_is_an_error(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    world.root.chmod(0o500)
    done = world.matrix_run()
    world.root.chmod(0o700)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_a_place_where_no_directory_can_be_made_is_an_error(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    (world.root / "file").write_text("")
    done = world.run(*world.run_arguments()[:-1], "file/out")
    assert done.returncode == 3
    assert "file/out" in done.stderr
    assert "Traceback" not in done.stderr


LOADING = """
import sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from matrix.__main__ import main
main()
"""


def test_an_interrupt_while_the_program_loads_leaves_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "matrix: interrupted\n")
