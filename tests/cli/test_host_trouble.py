"""A host that runs out of memory, threads or processes: an error of its own, never the guest's."""

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from matrix.vm import cgroups
from tests.cli.conftest import Scripts, World

MIB = 2**20
Join = Callable[[], object]

BOOT = """name: real
suite: {kind: kvm-unit-tests, build: builtin, tests: [boot]}
matrix: {arch: [x86_64], accel: [tcg], smp: [1]}
run: {timeout: 60s}
"""


def own_group(controller: str) -> Path | None:
    """The directory of this process's control group that limits what ``controller`` does."""
    for version, controllers, directory in cgroups._groups(Path("/")):
        if version == 2 or controller in controllers:
            return directory
    return None


@contextlib.contextmanager
def limited_group(controller: str, limits: dict[str, int]) -> Iterator[Join]:
    """A control group with limits, which a child joins by the function; skips where it may not be
    made."""
    parent = own_group(controller)
    if parent is None:
        pytest.skip(f"no control group limits {controller} here")
    group = parent / f"matrix-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error.strerror}")
    try:
        for name, value in limits.items():
            path = group / name
            if path.exists():
                path.write_text(str(value))
        if not any((group / name).exists() for name in limits):
            pytest.skip(f"control groups do not limit {controller} here")
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                group.rmdir()
                break
            except OSError:  # the last of its processes is still being taken apart
                time.sleep(0.05)


@pytest.fixture
def memory_group() -> Iterator[Join]:
    """300 MiB and no swap, in names of both versions."""
    names = {"memory.max": 300 * MIB, "memory.limit_in_bytes": 300 * MIB, "memory.swap.max": 0}
    with limited_group("memory", names) as join:
        yield join


def test_the_oom_killer_is_no_crash_of_qemu(
    world: World, scripts: Scripts, memory_group: Join
) -> None:
    eats = {"cont": [["stdout", "hungry\n"], ["eat", 2000 * MIB], ["serve", None]]}
    world.suite(hungry=eats, modest=scripts.passing())
    arguments = world.run_arguments("-j", "1")
    assert world.run("list", "scenario.yaml", "--qemu", "fake=qemu").returncode == 0
    done = world.run(*arguments, preexec_fn=memory_group)
    assert world.verdicts() == {"hungry": "error", "modest": "pass"}
    assert "OOM killer" in done.stdout
    assert done.returncode == 3


def test_a_guest_larger_than_its_control_group_is_not_started(
    world: World, scripts: Scripts, memory_group: Join
) -> None:
    world.suite(one=scripts.passing())
    done = world.run(*world.run_arguments("--set", "memory=1GiB"), preexec_fn=memory_group)
    assert "its memory is 1024 MiB, and the control group's limit is 300 MiB" in done.stdout
    assert done.returncode == 3
    assert not list(world.root.glob("out/cases/*/*/qemu.log"))


@pytest.mark.qemu
def test_no_threads_left_is_an_error(world: World) -> None:
    """Real QEMU among so few processes and threads that it lacks the next one."""
    (world.root / "scenario.yaml").write_text(BOOT)
    assert world.run("list", "scenario.yaml").returncode == 0  # asks QEMU, with all it takes
    for limit in (1, 2, 3):  # ourselves, QEMU, its thread for RCU
        out = f"out{limit}"
        with limited_group("pids", {"pids.max": limit}) as join:
            done = world.run("run", "scenario.yaml", "-o", out, preexec_fn=join)
        assert "Traceback" not in done.stderr
        assert world.verdicts(out) == {"boot": "error"}
        assert "Resource temporarily unavailable" in done.stdout
        assert done.returncode == 3


def test_no_process_for_a_look_at_the_host_is_an_error(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing())
    with limited_group("pids", {"pids.max": 1}) as join:
        done = world.run(*world.run_arguments(), preexec_fn=join)
    assert "Traceback" not in done.stderr
    assert "Resource temporarily unavailable" in done.stderr
    assert done.returncode == 3


def test_open_files_are_raised_to_the_hard_limit(world: World, scripts: Scripts) -> None:
    """Four jobs do not fit in the soft limit."""
    world.suite(**{f"t{number}": scripts.passing() for number in range(8)})
    done = world.run(*world.run_arguments("-j", "4"), preexec_fn=lambda: allow_files(24, 400))
    assert done.returncode == 0, done.stderr
    assert "open files" not in done.stderr


def test_fewer_jobs_run_where_open_files_are_too_few(world: World, scripts: Scripts) -> None:
    world.suite(**{f"t{number}": scripts.passing() for number in range(8)})
    done = world.run(*world.run_arguments("-j", "8"), preexec_fn=lambda: allow_files(60, 60))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("at most 2 jobs at a time: 60 open files are allowed") == 1
    assert set(world.verdicts().values()) == {"pass"}


def allow_files(soft: int, hard: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
