"""``matrix run --fleet``: the same run, by workers that dial in over TLS."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.hosts.fleet.founding import found_fleet
from tests.cli.conftest import Scripts, World

FLEET = ("--fleet", "lab/fleet.yaml")


class Lab:
    """A fleet whose workers run in this world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._workers: dict[str, subprocess.Popen[str]] = {}
        high, low = divmod(os.getpid(), 250)
        network = f"127.{high % 250 + 1}.{low + 1}"  # on loopback, and no other test's
        hosts = {"z1": f"{network}.11", "z2": f"{network}.12"}
        found_fleet(world.root / "lab", hosts, f"{network}.2")
        path = world.root / "lab/fleet.yaml"
        self._file = path.read_text()
        self.lease("10min")

    def lease(self, ttl: str) -> None:
        path = self._world.root / "lab/fleet.yaml"
        path.write_text(f"{self._file}lease: {{ttl: {ttl}, margin: 2s}}\n")

    def start(self, *names: str, qemus: tuple[str, ...] = ("--qemu", "fake=qemu")) -> None:
        for name in names:
            words = ("worker", *FLEET, "--name", name, *qemus)
            self._workers[name] = self._world.start(*words)
        for name in names:  # a busy machine may need longer to start them than a run waits for them
            stderr = self._workers[name].stderr
            assert stderr is not None
            assert f"{name}: " in stderr.readline()

    def stop(self) -> list[int]:
        for worker in self._workers.values():
            worker.terminate()
        for worker in self._workers.values():
            worker.communicate(timeout=100)
        return [worker.returncode for worker in self._workers.values()]

    def kill(self, name: str) -> None:
        self._workers[name].kill()

    def run_arguments(self, *more: str) -> tuple[str, ...]:
        return ("run", "scenario.yaml", "-o", "out", *FLEET, *more)


@pytest.fixture
def lab(world: World) -> Iterator[Lab]:
    found = Lab(world)
    yield found
    found.stop()


def files_of(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


INPUTS = ("inputs", "input_digest")


def test_the_run_is_as_on_one_machine(world: World, scripts: Scripts, lab: Lab) -> None:
    world.suite(good=scripts.passing(), bad=scripts.failing("a", "b"), other=scripts.passing())
    lab.start("z1", "z2")
    done = world.run(*lab.run_arguments())
    assert done.returncode == 1, done.stderr
    by_fleet = world.results()
    assert world.run(*world.run_arguments()[:-1], "alone").returncode == 1
    alone = world.results("alone")
    hosts = [case["host"] for case in by_fleet["cases"]]
    assert sorted(set(hosts)) == ["z1", "z2"]
    for ours, theirs in zip(by_fleet["cases"], alone["cases"], strict=True):
        # What hosts of a fleet run with is not known by content.
        for volatile in ("seconds", "attempts", "begun", "ended", "host", *INPUTS):
            ours.pop(volatile, None)
            theirs.pop(volatile, None)
        assert ours == theirs
    cases, theirs = world.root / "out/cases", world.root / "alone/cases"
    for folder in theirs.iterdir():
        assert files_of(cases / folder.name) == files_of(folder)
        console = "console.log"
        assert (cases / folder.name / console).read_bytes() == (folder / console).read_bytes()
    assert lab.stop() == [0, 0]


def test_a_run_whose_orchestrator_was_killed_is_resumed(
    world: World, scripts: Scripts, lab: Lab
) -> None:
    lab.lease("6s")
    world.suite(one=scripts.passing(90.0), two=scripts.passing(90.0))
    lab.start("z1", "z2")
    process = world.start(*lab.run_arguments())
    world.wait_for(lambda: len(world.fakes()) == 2)
    process.kill()
    process.communicate(timeout=100)
    world.wait_for(lambda: not world.fakes())  # by their leases
    world.suite(one=scripts.passing(), two=scripts.passing())
    done = world.run("run", "--resume", "out")
    assert (done.returncode, world.verdicts()) == (0, {"one": "pass", "two": "pass"}), done


def test_ctrl_c_ends_everything_everywhere(world: World, scripts: Scripts, lab: Lab) -> None:
    world.suite(one=scripts.passing(90.0), two=scripts.passing(90.0))
    lab.start("z1", "z2")
    process = world.start(*lab.run_arguments())
    world.wait_for(lambda: len(world.fakes()) == 2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)
    assert process.returncode == 130
    world.wait_for(lambda: not world.fakes())


@pytest.mark.slow  # a lease runs out, with its margin
def test_the_case_of_a_worker_that_is_killed_runs_on_the_other_host(
    world: World, scripts: Scripts, lab: Lab
) -> None:
    lab.lease("6s")
    world.suite(one=scripts.passing(90.0))
    lab.start("z1", "z2")
    process = world.start(*lab.run_arguments())
    world.wait_for(world.fakes)
    world.suite(one=scripts.passing())
    lab.kill("z1")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, out + err
    (case,) = world.results()["cases"]
    assert (case["verdict"], case["host"]) == ("pass", "z2")
    assert "nothing was heard of it for 8 s" in out + err
    shown = " ".join(world.run("show", "out").stdout.split())
    lost = "nothing was heard of it for 8 s"
    assert f"Trouble of hosts z1 got no more cases: {lost} an attempt was made again" in shown
    assert f"on another host than z1: host z1 is lost: {lost}" in shown


def test_a_name_that_is_two_qemus_is_said_with_the_plan(
    world: World, scripts: Scripts, lab: Lab
) -> None:
    world.suite(one=scripts.passing())
    folder = world.root / "scripts"
    probe = (folder / "probe.json").read_text().replace('"major": 10', '"major": 11')
    (folder / "newer.json").write_text(probe)
    program = "qemu-system-x86_64"
    other = world.root / "other" / program
    other.parent.mkdir()
    other.write_text((world.root / "qemu" / program).read_text().replace("=probe", "=newer"))
    other.chmod(0o755)
    lab.start("z1")
    lab.start("z2", qemus=("--qemu", "fake=other"))
    done = world.run("list", "scenario.yaml", *FLEET)
    assert "matrix: QEMU 'fake' is 10.0.0 on z1 and 11.0.0 on z2\n" in done.stderr
