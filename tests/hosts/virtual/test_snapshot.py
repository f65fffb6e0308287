"""Which saved hosts are taken for another one, and where they are written."""

import asyncio
from pathlib import Path

from matrix.hosts.virtual.host_options import parse_option
from matrix.hosts.virtual.image import Image
from matrix.hosts.virtual.snapshot import unfinished
from matrix.hosts.virtual.starter import Starter
from matrix.inventory import Binary
from matrix.model import Architecture

BINARY = Binary("system", Architecture.AARCH64, "/usr/bin/qemu", (7, 2, 0), "7.2.0")


def state(folder: Path, option: str) -> Path | None:
    (folder / "kernel").touch()  # or one would be built
    image = Image(folder / "kernel", folder / "initrd", "digest", "debian")
    starter = Starter(parse_option(option), BINARY, folder, lambda _: None, _image=image)
    return asyncio.run(starter._state())


def test_a_saved_host_is_no_proof_of_what_it_was_not_asked_for(tmp_path: Path) -> None:
    same = [
        f"aarch64=debian-13{more}"
        for more in (
            "",
            ",mode=vhe",
            ",append=kvm.x=1",
            ",kvm.x=1",
            ",append=kvm-arm.mode=nvhe",
            ",mode=vhe,append=kvm-arm.mode=nvhe",
        )
    ]
    states = [state(tmp_path, option) for option in same]
    assert None not in states
    assert len(set(states)) == len(same)
    assert state(tmp_path, "aarch64=debian-13,name=mine") == states[0]


def test_each_writes_a_file_of_its_own(tmp_path: Path) -> None:
    first, second = unfinished(tmp_path / "a"), unfinished(tmp_path / "a")
    assert first != second
    assert first.name.startswith(".a.")
    assert first.parent == second.parent == tmp_path
