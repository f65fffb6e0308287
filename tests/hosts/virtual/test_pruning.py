"""What was used the longest ago goes first."""

import os
from pathlib import Path

from matrix.hosts.virtual.pruning import prune, used

MIB = 1 << 20


def fill(path: Path, age: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * MIB)
    owner = path if path.parent.name == "snapshots" else path.parent
    os.utime(owner, (1e9 - age, 1e9 - age))
    return owner


def test_the_oldest_go_until_the_rest_fits(tmp_path: Path) -> None:
    states = [fill(tmp_path / "snapshots" / name, age) for age, name in enumerate("abc")]
    images = [fill(tmp_path / "images" / name / "initrd", age) for age, name in enumerate("abc")]
    debian = fill(tmp_path / "debian" / "kernel", 99)
    used(states[2])
    pruned = prune(tmp_path, 2 * MIB)
    assert (pruned.count, pruned.size) == (2, 2 * MIB)
    assert [each.exists() for each in states] == [True, False, True]
    assert [each.exists() for each in images] == [True, True, False]
    assert debian.exists()
    assert prune(tmp_path, 2 * MIB).count == 0
    assert prune(tmp_path, 0).count == 4
    assert prune(tmp_path / "none").count == 0


def test_what_is_being_written_or_shared_is_not_counted(tmp_path: Path) -> None:
    used(fill(tmp_path / "snapshots" / ".a.123", 5))
    kernel = fill(tmp_path / "debian" / "kernel", 5)
    image = tmp_path / "images" / "a"
    image.mkdir(parents=True)
    (image / "kernel").hardlink_to(kernel / "kernel")
    assert prune(tmp_path, 1).count == 0


def test_what_killed_runs_left_unfinished_goes_after_a_day(tmp_path: Path) -> None:
    left = [
        fill(tmp_path / "snapshots/.a.123", 0),
        fill(tmp_path / "images/.new-a/initrd", 0),
        fill(tmp_path / "debian/.debian-13-a/apt", 0),
    ]
    kept = fill(tmp_path / "snapshots/a", 0)
    assert prune(tmp_path).count == 3
    assert [each.exists() for each in (*left, kept)] == [False, False, False, True]
