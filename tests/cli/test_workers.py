"""``matrix run --workers``: the same run, by processes that may die."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.cli.conftest import Scripts, World

GONE = 20.0


FORKED = ["matrix", "worker"]
"""How one is called that was there before the plan; others are programs with more words."""


def workers(world: World) -> list[int]:
    """The workers of this world's orchestrator."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words, variables = process.info["cmdline"] or (), process.info["environ"] or {}
        ours = variables.get("MATRIX_CACHE") == str(world.root / "cache")
        if ours and "worker" in words and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def test_the_run_is_as_without_them(world: World, scripts: Scripts) -> None:
    world.suite(good=scripts.passing(), bad=scripts.failing("a", "b"), other=scripts.passing())
    assert world.matrix_run("--workers", "2").returncode == 1
    by_workers = world.results()
    assert world.run(*world.run_arguments()[:-1], "alone").returncode == 1
    alone = world.results("alone")
    for ours, theirs in zip(by_workers["cases"], alone["cases"], strict=True):
        for volatile in ("seconds", "attempts", "begun", "ended"):
            ours.pop(volatile, None)
            theirs.pop(volatile, None)
        assert ours == theirs
    assert (world.root / "out/cases/fake.bad.x86_64.tcg.qemu=fake/console.log").read_bytes()
    assert not (world.root / "out/workers").exists()
    assert workers(world) == []


def test_cases_of_a_worker_that_is_killed_run_again(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing(3.0), two=scripts.passing(3.0))
    process = world.start(*world.run_arguments("--workers", "1", "-j", "2"))
    world.wait_for(lambda: len(world.fakes()) == 2)
    (worker,) = workers(world)
    assert psutil.Process(worker).cmdline()[:2] == FORKED
    os.kill(worker, signal.SIGKILL)
    world.wait_for(lambda: any(each != worker for each in workers(world)))
    (other,) = (each for each in workers(world) if each != worker)
    assert "--descriptors" in psutil.Process(other).cmdline()
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert "the worker was killed by SIGKILL; its cases run again" in err
    assert world.verdicts() == {"one": "pass", "two": "pass"}
    assert "2 of 2 passed" in out
    lost = "the worker was killed by SIGKILL; its cases ran again"
    assert f"Trouble of hosts\n  {lost}\n" in out
    assert f"<dt>trouble</dt><dd>{lost}</dd>" in (world.root / "out/report.html").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_orchestrator(
    world: World, scripts: Scripts, number: signal.Signals
) -> None:
    world.suite(one=scripts.passing(90.0), two=scripts.passing(90.0))
    process = world.start(*world.run_arguments("--workers", "2", "-j", "2"))
    world.wait_for(lambda: len(world.fakes()) == 2)
    assert [psutil.Process(each).cmdline()[:2] for each in workers(world)] == [FORKED] * 2
    process.send_signal(number)
    process.communicate(timeout=100)
    world.wait_for(lambda: not world.fakes() and not workers(world), GONE)
    if number is signal.SIGKILL:
        # What was begun is begun again, by as many workers as were asked for.
        world.suite(one=scripts.passing(), two=scripts.passing())
        done = world.run("run", "--resume", "out")
        assert (done.returncode, world.verdicts()) == (0, {"one": "pass", "two": "pass"}), done


def test_a_run_that_cannot_be_planned_leaves_no_worker(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    done = world.matrix_run("--workers", "2", "-k", "another")
    assert done.returncode == 5, done.stderr
    assert workers(world) == []


def test_a_local_worker_is_no_command_for_users(world: World) -> None:
    done = world.run("worker", "--descriptors", "7", "8")
    assert done.returncode == 2
    assert "matrix worker is started by matrix run --workers N: " in done.stderr
    assert "descriptors" not in world.run("worker", "--help").stdout


def test_workers_import_nothing_of_the_current_folder(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    for name in ("matrix", "json"):
        (world.root / f"{name}.py").write_text("raise SystemExit('not this one')\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "matrix", *world.run_arguments("--workers", "1")],
        cwd=world.root,
        env=world.environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
