"""Images of virtual hosts that are removed meanwhile, or cannot be written."""

import asyncio
import shutil
from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.hosts.virtual.host_options import parse_option
from matrix.hosts.virtual.starter import Starter
from matrix.inventory import Binary
from matrix.model import Architecture

IMAGE = b"MZ" + bytes(54) + b"ARM\x64" + bytes(100)
BINARY = Binary("system", Architecture.AARCH64, "/usr/bin/qemu", (7, 2, 0), "7.2.0")


@pytest.fixture
def starter(tmp_path: Path) -> Starter:
    (tmp_path / "Image").write_bytes(IMAGE)
    settings = parse_option(f"aarch64={tmp_path}/Image")
    return Starter(settings, BINARY, tmp_path / "virtual", lambda _: None)


def test_an_image_that_was_pruned_is_built_again(starter: Starter) -> None:
    async def images() -> None:
        first = await starter.image()
        shutil.rmtree(first.kernel.parent)
        again = await starter.image()
        assert again == first
        assert again.kernel.read_bytes() == IMAGE

    asyncio.run(images())


def test_an_image_that_cannot_be_written_says_where(starter: Starter) -> None:
    starter.folder.mkdir()
    (starter.folder / "images").touch()
    with pytest.raises(HostError, match=r"cannot write .*/virtual/images/aarch64-.*: "):
        asyncio.run(starter.image())
