"""``matrix debug``: with fake QEMUs and a fake gdb, and with real ones on five architectures."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import World, passing
from tests.warm import WarmProgram

# On a busy host the command says on stderr what takes it long, before all else.
CASE = "fake.it.x86_64.tcg.qemu=fake"
QEMU = ("--qemu", "fake=qemu")
GDB = """#!/bin/sh
case "$*" in "-nx -batch "*) exit 0 ;; esac
printf '%s\\n' "$@" >{root}/told
ls "$(dirname "$(sed -n 's/^target remote //p' {root}/told)")" >{root}/files
exit {status}
"""


@pytest.fixture
def debugged(world: World) -> World:
    """One test, whose guest would print something if it were let run."""
    world.suite(it=passing())
    return world


def fake_gdb(world: World, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> None:
    folder = world.root / "bin"
    folder.mkdir()
    program = folder / "gdb-multiarch"
    program.write_text(GDB.format(root=world.root, status=status))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def without_gdb(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with what the fake QEMU's wrapper needs, and setpriv."""
    folder = world.root / "bin"
    folder.mkdir()
    for name in ("cat", "setpriv", "bash", "sh"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))


def test_gdb_is_attached(debugged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gdb(debugged, monkeypatch)
    done = debugged.run("debug", "scenario.yaml", "it", *QEMU, "--", "-batch", "-ex", "bt")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()  # the guest has not run
    assert first == f"{CASE} is stopped before its first instruction; the debugger is"
    assert second.startswith(f"  {debugged.root}/bin/gdb-multiarch -q -ex 'set remotetimeout 60'")
    told = (debugged.root / "told").read_text().splitlines()
    assert told[-3:] == ["-batch", "-ex", "bt"]
    assert "qmp.jsonl" in (debugged.root / "files").read_text()  # its QEMU is there still


def test_a_case_of_a_run(debugged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was planned, with the QEMU that the run had, though its scenario is gone."""
    assert debugged.matrix_run().returncode == 0
    (debugged.root / "scenario.yaml").unlink()
    fake_gdb(debugged, monkeypatch)
    for run in ("out", "latest"):
        done = debugged.run("debug", run, "it")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{CASE} is stopped")
        assert "newer" not in done.stderr
    os.utime(debugged.root / "build/x86/guest.flat", (2**32, 2**32))
    assert "guest.flat is newer than the run" in debugged.run("debug", "out", "it").stderr
    done = debugged.run("debug", "out", "it", "--set", "smp=2")
    assert done.returncode == 2
    assert "beside it only --qemu, --host and --fresh are taken" in done.stderr
    plan = debugged.root / "out/plan.jsonl"
    plan.write_text(plan.read_text().replace("guest.flat", "other.flat"))
    done = debugged.run("debug", "out", "it")
    assert done.returncode == 2
    assert "was altered" in done.stderr


def test_gdb_fails(debugged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gdb(debugged, monkeypatch, status=1)
    done = debugged.run("debug", "scenario.yaml", "it", *QEMU)
    assert done.returncode == 3
    assert done.stderr.endswith("matrix: gdb has ended with status 1\n")


def test_no_gdb(debugged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    without_gdb(debugged, monkeypatch)
    done = debugged.run("debug", "scenario.yaml", "it", *QEMU, "--gdb")
    assert done.returncode == 3
    assert done.stderr.endswith(
        "matrix: no gdb here knows x86_64: install gdb-multiarch (Debian) or gdb\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_guest_that_is_listened_for(debugged: World, number: signal.Signals) -> None:
    process = debugged.start("debug", "scenario.yaml", "it", *QEMU, "--listen")
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == (
            f"{CASE} is stopped before its first instruction; the debugger is\n"
        )
        assert "target remote " in (command := process.stdout.readline())
        assert debugged.fakes()
        process.send_signal(number)
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert errors.endswith("matrix: interrupted\n")
    assert not Path(command.partition("target remote ")[2].split("'")[0]).parent.exists()


def test_a_qemu_that_is_killed(debugged: World) -> None:
    """It may as well have crashed: whoever debugs it wants to know."""
    process = debugged.start("debug", "scenario.yaml", "it", *QEMU, "--listen")
    with process:
        assert process.stdout is not None
        for _ in range(2):
            process.stdout.readline()
        for pid in debugged.fakes():
            os.kill(pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=100)
    assert said == "QEMU has ended: QEMU was killed by SIGKILL\n"


def test_the_monitor(debugged: World) -> None:
    script = {
        "replies": {"human-monitor-command": "VM status: paused (prelaunch)\r\n"},
        "errors": {"query-nothing": ["GenericError", "no"]},
    }
    (debugged.root / "scripts/it.json").write_text(json.dumps(script))
    done = subprocess.run(
        [sys.executable, "-m", "matrix", "debug", "scenario.yaml", "it", *QEMU, "--qemu-monitor"],
        cwd=debugged.root,
        env=debugged.environment(),
        input="info status\n\n",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(
        "'\n(qemu) VM status: paused (prelaunch)\n(qemu) (qemu) \n(qemu) \nQEMU has ended\n"
    )


def test_a_qemu_that_ends_before_it_is_listened_for(debugged: World) -> None:
    script = {"start": [["stderr", "qemu: no such machine\n"], ["exit", 1]]}
    (debugged.root / "scripts/it.json").write_text(json.dumps(script))
    done = debugged.run("debug", "scenario.yaml", "it", *QEMU, "--listen")
    assert done.returncode == 3
    assert done.stderr.endswith("matrix: QEMU could not be started: no such machine\n")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "name a case, or a run or a scenario, and a case of it"),
        (["a", "b", "c"], 2, "name a case, or a run or a scenario, and a case of it"),
        (["it.x86_64"], 2, "it.x86_64 begins with no scenario's name; name its run or its"),
        (["scenario.yaml", "none", *QEMU], 2, "no case has 'none' in its id; matrix list"),
        (["scenario.yaml", "it", "--gdb", "--listen"], 2, "--gdb, --listen and --qemu-monitor:"),
        (["scenario.yaml", "it"], 5, f"{CASE} does not run here: "),
        (["no-such-run", "it"], 2, "no-such-run: no such scenario"),
        (["scenario.yaml", "it", "-batch"], 2, "-- before gdb's options"),
    ],
)
def test_wrong_usage(debugged: World, words: list[str], code: int, message: str) -> None:
    done = debugged.run("debug", *words)
    assert done.returncode == code, done.stderr
    assert message in done.stderr


def test_a_guest_of_kvmtool(debugged: World) -> None:
    config = debugged.root / "build/config.mak"
    config.write_text(config.read_text().replace("TARGET=qemu", "TARGET=kvmtool"))
    done = debugged.run("debug", "scenario.yaml", "it", *QEMU)
    assert done.returncode == 2
    assert done.stderr.endswith(
        f"matrix: {CASE} is a guest of kvmtool; matrix debug is for guests of QEMU\n"
    )


def test_a_case_that_is_migrated(debugged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """gdb knows how to follow its guest; the monitor is that of one QEMU."""
    scenario = debugged.root / "scenario.yaml"
    scenario.write_text(scenario.read_text() + "migration: {strategy: precopy}\n")
    fake_gdb(debugged, monkeypatch)
    done = debugged.run("debug", "scenario.yaml", "it", *QEMU, "--", "-batch")
    assert done.returncode == 0, done.stderr
    told = (debugged.root / "told").read_text().splitlines()
    attach = next(each for each in told if each.startswith("target remote "))
    assert f"alias follow = {attach}" in told
    assert told[-1] == "-batch"
    lines = done.stdout.splitlines()
    assert lines[0].startswith("matrix: gdb cannot be attached to the guest: ")  # by a fake QEMU
    assert lines[1] == f"{CASE} is stopped before its first instruction; the debugger is"
    assert lines[3].startswith("matrix: it is migrated while it runs: gdb is detached before a hop")
    assert not Path(attach.removeprefix("target remote ")).parent.exists()
    done = debugged.run("debug", "scenario.yaml", "it", *QEMU, "--qemu-monitor")
    assert done.returncode == 0, done.stderr
    assert "its migration is left out: this monitor is that of one QEMU\n" in done.stderr


MIGRATED = """name: migrated
suite: {kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}
matrix: {arch: [x86_64], accel: [tcg]}
migration: {strategy: precopy, transport: unix, mode: continuous, hops: 1}
"""


@pytest.mark.qemu
def test_a_real_gdb_follows_a_guest(warm: WarmProgram, tmp_path: Path) -> None:
    """It is detached from the source, and finds the guest on the destination."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("no qemu-system-x86_64")
    if shutil.which("gdb-multiarch") is None:
        pytest.skip("no gdb-multiarch")
    (tmp_path / "migrated.yaml").write_text(MIGRATED)
    # gdb writes a line in pieces, between which the guest's output may come: not into gdb's log.
    log = tmp_path / "gdb.log"
    commands = ("continue", "follow", "info symbol $pc", "info breakpoints")
    logged = (f"set logging file {log}", "set logging enabled on", *commands)
    words = [word for each in logged for word in ("-ex", each)]
    options = ("--gdb", "--", "-nx", "-batch", *words)
    done = warm.run(("debug", "migrated.yaml", "ram-integrity", *options), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "matrix: gdb is detached from this QEMU, as the guest leaves it\n" in done.stdout
    assert "matrix: hop 1, precopy over unix: completed\n" in done.stdout
    said = log.read_text()
    assert " in section .text" in said, said
    assert "<guest_unhandled>" in said


def test_kept_memory(debugged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert debugged.matrix_run().returncode == 0
    fake_gdb(debugged, monkeypatch)
    done = debugged.run("debug", "--core", "out", "it")
    assert done.returncode == 2
    assert done.stderr.startswith(f"matrix: no memory of {CASE} was kept: ")
    memory = debugged.root / f"out/cases/{CASE}/diagnosis/memory.elf"
    memory.parent.mkdir()
    for order, said in ((b"\1", ""), (b"\2", "its registers in the other byte order")):
        memory.write_bytes(b"\x7fELF\2" + order)
        done = debugged.run("debug", "--core", "out", "it", "--", "-batch")
        assert done.returncode == 0, done.stderr
        assert said in done.stderr
        assert bool(said) == bool(done.stderr)
        told = (debugged.root / "told").read_text().splitlines()
        assert told[-3:] == ["-ex", f"core-file {memory}", "-batch"]
    done = debugged.run("debug", "--core", "out")
    assert done.returncode == 2
    assert "--core takes a run and a case of it" in done.stderr


def test_no_gdb_outlives_the_command(debugged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """gdb has the terminal, and Ctrl-C is its own; SIGTERM ends both."""
    assert debugged.matrix_run().returncode == 0
    memory = debugged.root / f"out/cases/{CASE}/diagnosis/memory.elf"
    memory.parent.mkdir()
    memory.write_bytes(b"\x7fELF\2\1")
    fake_gdb(debugged, monkeypatch)
    pid = debugged.root / "pid"
    program = debugged.root / "bin/gdb-multiarch"
    program.write_text(f'#!/bin/sh\n[ "$2" = -batch ] && exit\necho $$ >{pid}\nexec sleep 1000\n')
    process = debugged.start("debug", "--core", "out", "it")
    with process:
        debugged.wait_for(lambda: pid.exists() and pid.read_text().endswith("\n"))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert errors.endswith("matrix: interrupted\n")
    assert not Path(f"/proc/{int(pid.read_text())}").exists()


SERVED = """name: served
suite: {kind: kvm-unit-tests, build: builtin, tests: [disk-integrity-vhost-user]}
matrix: {arch: [x86_64], accel: [tcg]}
"""


@pytest.mark.qemu
def test_the_disk_of_a_guest_is_served(warm: WarmProgram, tmp_path: Path) -> None:
    """A real QEMU connects to it before its guest runs, or does not start."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("no qemu-system-x86_64")
    (tmp_path / "served.yaml").write_text(SERVED)
    words = ("debug", "served.yaml", "disk-integrity-vhost-user", "--qemu-monitor")
    done = warm.run(words, tmp_path)  # standard input has ended
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("QEMU has ended\n")


STALLS = """name: stalls
suite: {kind: kvm-unit-tests, build: builtin, tests: [hang]}
matrix: {arch: [s390x], accel: [tcg]}
run: {timeout: 60s, stall: 3s, on_stall: dump}
"""


@pytest.mark.qemu
def test_a_real_gdb_opens_kept_memory(warm: WarmProgram, tmp_path: Path) -> None:
    """Of a big-endian guest, of whose dump QEMU writes the sections in the host's byte order."""
    if shutil.which("qemu-system-s390x") is None:
        pytest.skip("no qemu-system-s390x")
    if shutil.which("gdb-multiarch") is None:
        pytest.skip("no gdb-multiarch")
    (tmp_path / "stalls.yaml").write_text(STALLS)
    words = ("run", "stalls.yaml", "-o", "out", "--no-history")
    assert warm.run(words, tmp_path).returncode == 1
    look = ("-nx", "-batch", "-ex", "bt 3")
    done = warm.run(("debug", "--core", "out", "hang", "--", *look), tmp_path)
    assert done.returncode == 0, done.stderr
    assert " in test_hang ()\n" in done.stdout, done.stdout + done.stderr


SECOND = {"x86_64": "rsi", "aarch64": "x1", "ppc64": "r4", "riscv64": "a1", "s390x": "r3"}
"""Where a function finds its second argument."""


@pytest.mark.qemu
@pytest.mark.parametrize("architecture", SECOND)
def test_a_real_gdb_stops_where_a_guest_fails(
    warm: WarmProgram, architecture: str, tmp_path: Path
) -> None:
    """Not where it passes: gdb reads registers and memory in the guest's own byte order."""
    if shutil.which(f"qemu-system-{architecture}") is None:
        pytest.skip(f"no qemu-system-{architecture}")
    if shutil.which("gdb-multiarch") is None:
        pytest.skip("no gdb-multiarch")
    case = f"verdicts.fail.{architecture}.tcg"
    look = ("continue", f"x/s ${SECOND[architecture]}", "bt 2")
    options = [word for each in look for word in ("-ex", each)]
    done = warm.run(("debug", case, "--gdb", "--", "-nx", "-batch", *options), tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    stopped = done.stdout.partition("Breakpoint 2, ")[2]
    assert " in report ()\n" in stopped, said
    assert '"this one fails, as it should"' in stopped, said
    assert " in test_fail ()\n" in stopped, said
