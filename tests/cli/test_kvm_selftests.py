"""KVM selftests as a user runs them: scripts in their place, which behave as they do."""

import os
from pathlib import Path

import pytest

from matrix.hosts.kvm import read_device
from tests.cli.conftest import World

SCENARIO = """name: self
suite: {{kind: kvm-selftests, build: kvm}}
matrix: {{arch: [{arch}, s390x], accel: [auto]}}
run: {{timeout: 60s}}
"""
ASSERTION = """\
==== Test Assertion Failure ====
  cpuid_test.c:94: a == b
  pid=1 tid=1 errno=0 - Success
  (stack trace empty)
  they differ
"""
PROGRAMS = {
    "passes": "echo 'TAP version 13'; echo 1..1; echo 'ok 1 all'",
    "skips": "echo '1..0 # SKIP - Requirement not met: kvm_has_cap(KVM_CAP_X)'; exit 4",
    "silently": "exit 4",
    "asserts": f"echo seed; printf '%s' '{ASSERTION}' >&2; exit 254",
    "subtests": "echo 'not ok 1 a.b'; echo 'ok 2 a.c'; exit 1",
    "crashes": "kill -SEGV $$",
    "refused": "exit 1",
}
FOLDERS = {"x86_64": "x86", "aarch64": "arm64"}

pytestmark = pytest.mark.kvm


@pytest.fixture
def selftests(world: World) -> World:
    """The world with a folder of selftests and a scenario of them."""
    arch = os.uname().machine
    if arch not in FOLDERS or read_device().problem:
        pytest.skip(read_device().problem or f"no KVM on {arch} here")
    folder = programs(world)
    folder.mkdir(parents=True)
    for name, text in PROGRAMS.items():
        add(folder, name, text)
    # Scripts are for any architecture: a program says which ones the folder is for.
    (folder / "program").write_bytes(Path("/proc/self/exe").read_bytes()[:64])
    (folder / "program").chmod(0o755)
    (world.root / "scenario.yaml").write_text(SCENARIO.format(arch=arch))
    (world.root / "Kbuild").touch()
    (world.root / "Makefile").write_text("VERSION = 2\nPATCHLEVEL = 6\nSUBLEVEL = 39\n")
    return world


def programs(world: World) -> Path:
    return world.root / "kvm" / FOLDERS[os.uname().machine]


def add(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_every_way_to_end(selftests: World) -> None:
    done = selftests.run("run", "scenario.yaml", "-o", "out", "-k", "not program")
    assert done.returncode == 1, done.stderr
    kernel = f"kvm-selftests of Linux 2.6.39, but the host runs {os.uname().release}"
    assert done.stdout.splitlines()[0] == f"7 cases to run, 1 to skip; {kernel}"
    cases = selftests.results()["cases"]
    assert {each["test"]: (each["verdict"], each["reason"]) for each in cases} == {
        "passes": ("pass", "1 tests"),
        "skips": ("skip", "the test skipped: Requirement not met: kvm_has_cap(KVM_CAP_X)"),
        "silently": ("skip", "the test skipped: the test did not say why"),
        "asserts": ("fail", "failed assertion: cpuid_test.c:94: they differ"),
        "subtests": ("fail", "1 of 2 subtests failed: a.b"),
        "crashes": ("crash", "crashes was killed by SIGSEGV"),
        "refused": ("fail", "exit status 1; it printed nothing"),
        "suite": ("skip", f"has KVM selftests for {os.uname().machine}, none for s390x"),
    }
    (asserts,) = (each["id"] for each in cases if each["test"] == "asserts")
    folder = selftests.root / "out/cases" / asserts
    assert (folder / "console.log").read_text() == f"seed\n{ASSERTION}"
    assert str(programs(selftests) / "asserts") in (folder / "command.sh").read_text()


def test_nothing_outlives_a_program(selftests: World) -> None:
    """What it starts goes with it, and one that never ends is a timeout."""
    pids = selftests.root / "pids"
    add(programs(selftests), "leaves", f"sleep 300 & echo $! >>{pids}; exit 0")
    add(programs(selftests), "hangs", f"sleep 300 & echo $! >>{pids}; echo here; wait")
    done = selftests.run(
        "run", "scenario.yaml", "-o", "out", "-k", "leaves or hangs", "--timeout", "1s"
    )
    assert done.returncode == 1, done.stderr
    assert selftests.verdicts() == {"leaves": "pass", "hangs": "timeout"}
    left = list(map(int, pids.read_text().split()))
    assert len(left) == 2
    selftests.wait_for(lambda: not any(map(alive, left)))


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
