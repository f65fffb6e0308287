import json
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.migrating import Migration
from matrix.model import Accelerator, ExitChannel, Launch
from matrix.plan.decisions import Run
from matrix.run.recording import (
    Mode,
    Recording,
    launch_in,
    read_recording,
    why_not,
    write_recording,
)
from tests import make

LAUNCH = Launch(("qemu-system-x86_64", "-nodefaults"), ExitChannel.QEMU_EXIT, (("A", "b"),))
RECORDING = Recording("c", "x86_64", ("q",), (("A", "b"),), ("-q",), "fail", "why")


def test_the_command_lines() -> None:
    prepare, record, replay = (launch_in(Path("/a,b"), mode, LAUNCH) for mode in Mode)
    assert prepare.argv[2:] == (
        *("-drive", "file=/a,,b/snapshot.qcow2,if=none,id=matrix-snapshot,format=qcow2"),
        *("-icount", "shift=auto"),
    )
    counted = "shift=auto,rr=record,rrfile=/a,,b/replay.bin,rrsnapshot=begin"
    assert record.argv[2:] == (*prepare.argv[2:-1], counted, "-loadvm", "first")
    assert replay.argv[2:] == (*prepare.argv[2:-1], counted.replace("record", "replay"))
    assert replay.environment == LAUNCH.environment


@pytest.mark.parametrize(
    ("decision", "why"),
    [
        (make.run(), ""),
        (make.run(vcpus=2), "it has 2 vCPUs, and QEMU records one"),
        (make.run(accelerator=Accelerator.KVM), "it runs under KVM, which counts no instructions"),
        (make.run(make.case(migration=Migration())), "its guest is migrated"),
        (make.run(make.case(build=make.build(efi=True))), "it boots by EFI firmware"),
        (make.run(make.case("it", "mips64el")), "QEMU does not replay mips64el guests"),
    ],
)
def test_what_cannot_be_recorded(decision: Run, why: str) -> None:
    told = why_not(decision, (7, 2, 0))
    assert told.startswith(why)
    assert bool(told) == bool(why)


def test_what_an_old_qemu_does_not_replay() -> None:
    for name, old in (("s390x", True), ("x86_64", False)):
        decision = make.run(make.case("it", name))
        told = why_not(decision, (7, 2, 22))
        assert told.startswith(f"a QEMU older than 10.0 does not replay {name} guests") is old
        assert why_not(decision, (10, 0, 0)) == ""


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_recording(tmp_path, RECORDING)
    assert read_recording(tmp_path) == RECORDING


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no recording that this version can read"),
        ("[]", "is no recording that this version can read"),
        ('{"format": 2}', "is no recording that this version can read"),
        ('{"format": 1}', "is no recording: 'case'"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "recording.json").write_text(text)
    with pytest.raises(UsageError, match=told):
        read_recording(tmp_path)
    with pytest.raises(UsageError, match="no such"):
        read_recording(tmp_path / "nonesuch")
    write_recording(tmp_path, replace(RECORDING, reason="other"))
    assert json.loads((tmp_path / "recording.json").read_text())["reason"] == "other"
