"""``matrix debug --record`` and ``--replay``: with fake ones, and with a real QEMU and gdb."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import World, failing
from tests.cli.test_debug import CASE, QEMU, fake_gdb
from tests.warm import WarmProgram


def test_a_case_is_recorded_and_replayed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.suite(it={**failing("one"), "replies": {"human-monitor-command": ""}})
    done = world.run("debug", "scenario.yaml", "it", *QEMU, "--record", "kept")
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-3:] == [
        "FAIL: one",
        f"{CASE}: fail, 1 of 1 subtest failed: one",
        "Recorded in kept; matrix debug --replay kept repeats it",
    ]
    again = world.run("debug", "scenario.yaml", "it", *QEMU, "--record", "kept")
    assert again.returncode == 3
    assert "cannot create kept" in again.stderr
    assert (world.root / "kept/recording.json").exists()
    fake_gdb(world, monkeypatch)
    broken = world.run("debug", "--replay", "kept")  # the fake QEMU has recorded nothing
    assert broken.returncode == 3
    assert "kept/replay.bin" in broken.stderr
    (world.root / "kept/replay.bin").touch()
    done = world.run("debug", "--replay", "kept", "--", "-batch")
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == f"{CASE} came to fail: 1 of 1 subtest failed: one"
    assert second == f"{CASE} is stopped before its first instruction; the debugger is"
    assert "{socket}" not in third
    assert third.endswith(" -batch")


def test_a_qemu_that_cannot_save_the_guest(world: World) -> None:
    world.suite(it={**failing("one"), "replies": {"human-monitor-command": "Error: no \x1b"}})
    done = world.run("debug", "scenario.yaml", "it", *QEMU, "--record", "kept")
    assert done.returncode == 3
    assert done.stderr.endswith("matrix: QEMU cannot save the guest: Error: no \\x1b\n")
    assert not (world.root / "kept").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--record", "a", "--replay", "b"], "--record and --replay: give one of the two"),
        (["scenario.yaml", "it", "--record", "a", "--gdb"], "gdb comes with --replay"),
        (["--replay", "nonesuch"], "nonesuch/recording.json: no such"),
        (["--replay", "a", "it"], "its case is the one that was recorded; name none"),
        (["--replay", "a", "--core"], "--replay takes its folder, --gdb"),
        (
            ["scenario.yaml", "it", *QEMU, "--set", "smp=2", "--record", "a"],
            "cannot be recorded: it has 2 vCPUs, and QEMU records one",
        ),
    ],
)
def test_what_cannot_be(world: World, words: list[str], told: str) -> None:
    world.suite(it=failing("one"))
    done = world.run("debug", *words)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.qemu
@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_a_real_gdb_goes_back_from_where_a_guest_failed(
    warm: WarmProgram, architecture: str, tmp_path: Path
) -> None:
    """To the instruction that called ``report``, and on again to the same place."""
    if shutil.which(f"qemu-system-{architecture}") is None:
        pytest.skip(f"no qemu-system-{architecture}")
    if shutil.which("gdb-multiarch") is None:
        pytest.skip("no gdb-multiarch")

    folder = tmp_path / "kept"
    case = f"verdicts.fail.{architecture}.tcg"
    done = warm.run(("debug", case, "--record", str(folder)), tmp_path)
    assert done.returncode == 1, done.stderr
    assert json.loads((folder / "recording.json").read_text())["verdict"] == "fail"
    # gdb writes a line in pieces, between which the guest's output may come: not into gdb's log.
    log = tmp_path / "gdb.log"
    commands = ("continue", "p/x $pc", "delete", "reverse-stepi", "p/x $pc", "stepi", "p/x $pc")
    logged = (f"set logging file {log}", "set logging enabled on", *commands)
    words = [word for each in logged for word in ("-ex", each)]
    options = ("--", "-nx", "-batch", *words)
    done = warm.run(("debug", "--replay", str(folder), *options), tmp_path)
    assert done.returncode == 0, done.stderr
    said = log.read_text()
    there, before, again = re.findall(r"^\$\d = (0x[0-9a-f]+)$", said, re.MULTILINE)
    assert there == again != before
    assert "in test_fail ()" in said
