"""The installed QEMU, as runs on this host know it: what it answered once is kept for all tests."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from matrix.hosts.cache import cache_directory
from matrix.hosts.installations import Installation
from matrix.hosts.survey import take_inventory
from matrix.hosts.wanted import Wanted
from matrix.inventory import Binary
from matrix.model import Architecture

_known: dict[tuple[Architecture, Path | None], Binary | None] = {}


async def installed_binary(architecture: Architecture, folder: Path | None = None) -> Binary:
    """The emulator for an architecture in ``folder``, or else in PATH; the test is skipped where
    there is none.

    Raises:
        HostError: the host has no memory, threads or descriptors left.
    """
    key = (architecture, folder)
    if key not in _known:
        installation = Installation("system", folder)
        inventory = await take_inventory([installation], [Wanted("system", architecture)])
        _known[key] = inventory.binary("system", architecture)
    binary = _known[key]
    if binary is None:
        pytest.skip(f"no qemu-system-{architecture.value} in {folder or 'PATH'}")
    return binary


def lend_answers(cache: Path, *architectures: Architecture) -> None:
    """Have a test's own ``$MATRIX_CACHE`` know what the emulators for these architectures, and
    others, have answered on this host.

    Raises:
        HostError: the host has no memory, threads or descriptors left.
    """
    for architecture in architectures:
        asyncio.run(installed_binary(architecture))
    folder = cache / cache_directory().name
    folder.mkdir(mode=0o700, parents=True)
    for file in cache_directory().glob("*.json"):
        with suppress(FileNotFoundError):  # another test has replaced it
            shutil.copy(file, folder)
