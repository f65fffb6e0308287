"""Folders of attempts on their way."""

from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.hosts.fleet.hand_over import LEFT_OUT, parts_of, take
from matrix.hosts.fleet.messages import CHUNK, FleetKind, Part, decode, encode
from matrix.hosts.lines import WireError


def handed_over(source: Path, target: Path, most: int = 1 << 30) -> None:
    for part in parts_of(source, most):
        take(target, decode(encode(FleetKind.PART, 1, part).removesuffix(b"\n")).body)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir(mode=0o700)
    return source, target


def test_a_folder_arrives_as_it_was(folders: tuple[Path, Path]) -> None:
    source, target = folders
    (source / "diagnosis").mkdir()
    files = {
        "console.log": bytes(range(256)) * 2000,  # more than two pieces
        "exactly": b"x" * CHUNK,
        "empty": b"",
        "diagnosis/registers": b"r",
    }
    for name, data in files.items():
        (source / name).write_bytes(data)
    (source / "command.sh").write_text("true")
    (source / "command.sh").chmod(0o700)
    (source / "image").symlink_to("/etc/passwd")
    (target / "console.log").write_bytes(b"of a hand-over that was cut off" * 20_000)
    handed_over(source, target)
    assert {name: (target / name).read_bytes() for name in files} == files
    assert (target / "command.sh").stat().st_mode & 0o777 == 0o700
    assert (target / "empty").stat().st_mode & 0o777 == 0o600
    assert not (target / "image").exists()


def test_what_is_too_much_is_told(folders: tuple[Path, Path]) -> None:
    source, target = folders
    (source / "core").write_bytes(b"c" * 1000)
    (source / "console.log").write_bytes(b"small")
    handed_over(source, target, most=500)
    assert sorted(path.name for path in target.iterdir()) == ["console.log", LEFT_OUT]
    assert "core: 1000 bytes" in (target / LEFT_OUT).read_text()


@pytest.mark.parametrize("path", ["", "/etc/x", "../x", "a/../../x", "a\0b", "."])
def test_nothing_is_written_elsewhere(folders: tuple[Path, Path], path: str) -> None:
    with pytest.raises(WireError, match="is no artifact"):
        take(folders[1], Part(path, b"x", first=True))


def test_a_link_is_not_followed(folders: tuple[Path, Path]) -> None:
    (folders[1] / "x").symlink_to(folders[0] / "victim")
    with pytest.raises(HostError, match="cannot write"):
        take(folders[1], Part("x", b"x", first=True))
    assert not (folders[0] / "victim").exists()
