"""Which files decide what a binary is, and whether they are still the same."""

import os
from pathlib import Path

import pytest

from matrix.hosts.fingerprint import (
    Stamp,
    Stamper,
    files_behind,
    script_paths,
    take_stamp,
)

MAPS = """\
55d0c0000000-55d0c0400000 r--p 00000000 fe:00 131 /usr/bin/qemu-system-arm
55d0c0400000-55d0c0800000 r-xp 00400000 fe:00 131 /usr/bin/qemu-system-arm
7f0000000000-7f0000100000 r-xp 00000000 fe:00 132      /opt/with space/libc.so.6
7f0000200000-7f0000300000 rw-p 00000000 00:00 0 [heap]
7f0000300000-7f0000400000 r-xp 00000000 00:00 0 [vdso]
7f0000400000-7f0000500000 r--p 00000000 fe:00 133 /usr/share/data
7f0000500000-7f0000600000 r-xp 00000000 fe:00 134 /usr/lib/gone.so (deleted)
7f0000600000-7f0000700000 rwxp 00000000 00:00 0
"""


def test_files_behind_a_program_are_those_it_runs(tmp_path: Path) -> None:
    program = tmp_path / "qemu-system-arm"
    program.write_bytes(b"\x7fELF /etc/passwd")
    assert files_behind(program, MAPS) == (
        str(program),
        "/opt/with space/libc.so.6",
        "/usr/bin/qemu-system-arm",
    )


def test_files_behind_a_script_are_those_it_names_too(tmp_path: Path) -> None:
    emulator = tmp_path / "real-qemu"
    emulator.touch()
    program = tmp_path / "qemu-system-arm"
    program.write_text(
        f"#!/bin/sh\nLIB={tmp_path}/lib:{tmp_path}/absent\n"
        f'exec {emulator} -L {tmp_path} "$@" >/dev/null # a/b $HOME/c ${{X}}/d ./e\n'
    )
    (tmp_path / "lib").mkdir()
    assert set(script_paths(program)) == {"/bin/sh", str(emulator), f"{tmp_path}/absent"}
    assert set(files_behind(program, "")) == {str(program), *script_paths(program)}


def test_a_launcher_that_cannot_be_read_names_nothing(tmp_path: Path) -> None:
    assert script_paths(tmp_path / "absent") == ()


def test_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    stamps = (take_stamp(str(file)), take_stamp(str(tmp_path / "absent")))
    assert Stamper().unchanged(stamps)


def test_every_part_counts(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    before = take_stamp(str(file))
    times = (before.modified, before.modified)

    file.write_text("22")  # the size
    os.utime(file, ns=times)
    assert not Stamper().unchanged([before])

    file.write_text("1")  # the time
    os.utime(file, ns=(times[0], times[1] + 1))
    assert not Stamper().unchanged([before])

    (tmp_path / "other").write_text("1")  # the inode
    (tmp_path / "other").replace(file)
    os.utime(file, ns=times)
    assert not Stamper().unchanged([before])


def test_in_ci_files_are_told_apart_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job installs them anew, with another inode and another time."""
    monkeypatch.setenv("CI", "true")
    file = tmp_path / "file"
    file.write_text("one")
    before = take_stamp(str(file))
    (tmp_path / "other").write_text("one")
    (tmp_path / "other").replace(file)
    os.utime(file, (1, 1))
    assert Stamper().unchanged([before])
    file.write_text("two")
    os.utime(file, (1, 1))
    assert not Stamper().unchanged([before])


def test_coming_and_going(tmp_path: Path) -> None:
    file = tmp_path / "file"
    absent = take_stamp(str(file))
    assert absent == Stamp(str(file))
    file.touch()
    there = take_stamp(str(file))
    assert not Stamper().unchanged([absent])
    file.unlink()
    assert not Stamper().unchanged([there])


def test_a_link_that_comes_to_point_elsewhere(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "current"
    link.symlink_to("old")
    before = take_stamp(str(link))
    link.unlink()
    link.symlink_to("new")
    assert not Stamper().unchanged([before])


def test_each_file_is_looked_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    stamper = Stamper()
    before = stamper.stamp(str(file))
    file.write_text("22")
    assert stamper.stamp(str(file)) == before
