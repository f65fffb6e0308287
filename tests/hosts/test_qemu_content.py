"""What a QEMU is made of: program, libraries and firmware, each by content."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.hosts.cache import Cache
from matrix.hosts.cached_records import KnownBinary, encode_binary
from matrix.hosts.digests import Digests, unchanged
from matrix.hosts.fingerprint import Stamp
from matrix.hosts.qemu_content import QemuContent, QemuContents
from tests import make

LAUNCHER = """#!/bin/sh
echo started >> {root}/starts
[ "$*" = "-L help" ] && echo {root}/share && echo {root}/none
"""


class Lab:
    """A made-up QEMU in a folder: a script, its program, a library and firmware."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("program", "libc.so.6", "share/bios.bin", "share/keymaps/de"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(f"{name} as it was")
        self.launcher = root / "qemu-system-x86_64"
        self.launcher.write_text(LAUNCHER.format(root=root))
        self.launcher.chmod(0o755)
        self.binary = replace(make.binary(), path=str(self.launcher))
        names = (self.launcher, root / "program", root / "libc.so.6", root / "gone")
        known = KnownBinary(self.binary, tuple(Stamp(str(each)) for each in names))
        self.cache = Cache(root / "cache")
        self.cache.write(f"binary {self.launcher}", "host", encode_binary(known))

    def content(self, host: str = "host") -> QemuContent | None:
        contents = QemuContents(self.cache, host, Digests(Cache(self.root / "digests")))
        asyncio.run(contents.learn([self.binary]))
        return contents.of(self.binary)

    def starts(self) -> int:
        return len((self.root / "starts").read_text().splitlines())


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def parts(content: QemuContent | None) -> tuple[str, str, str]:
    assert content is not None
    return content.qemu, content.libraries, content.firmware


@pytest.mark.parametrize(
    ("changed", "part"),
    [("qemu-system-x86_64", 0), ("program", 0), ("libc.so.6", 1), ("share/keymaps/de", 2)],
)
def test_each_part_by_itself(lab: Lab, changed: str, part: int) -> None:
    first = lab.content()
    assert first is not None
    assert unchanged(first.files.states)
    file = lab.root / changed
    file.write_text(f"{file.read_text()}\n# another\n")
    after = parts(lab.content())
    assert [a == b for a, b in zip(parts(first), after, strict=True)] == [
        place != part for place in range(3)
    ]
    assert not unchanged(first.files.states)


def test_new_firmware_is_another(lab: Lab) -> None:
    before = parts(lab.content())
    (lab.root / "share/new.rom").write_text("new")
    assert parts(lab.content())[2] != before[2]


def test_a_qemu_is_asked_for_its_folders_once(lab: Lab) -> None:
    assert parts(lab.content()) == parts(lab.content())
    assert lab.starts() == 1
    (lab.root / "libc.so.6").write_text("another")
    lab.content()
    assert lab.starts() == 2


def test_nothing_is_known_of_one_that_does_not_say_or_was_not_asked(lab: Lab) -> None:
    assert lab.content(host="another") is None
    lab.launcher.write_text("#!/bin/sh\nexit 1\n")
    assert lab.content() is None
