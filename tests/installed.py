"""The installed QEMU, as runs on this host know it: what it answered once is kept for all tests."""

from pathlib import Path

import pytest

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
