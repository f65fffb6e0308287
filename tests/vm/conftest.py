"""What the tests of matrix.vm share: the fake QEMU, a scripted QMP peer, a check for leaks."""

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from matrix.attempt import Outcome
from matrix.model import ExitChannel, Launch
from matrix.vm.machine import Limits, run_guest

FAKE = Path(__file__).parents[1] / "fake_qemu.py"
FakeLaunch = Callable[..., Launch]
RunFake = Callable[..., Outcome]
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """No child process and no descriptor survives a test."""
    before = _descriptors()
    yield
    children = psutil.Process().children(recursive=True)
    assert [child.cmdline() for child in children] == []
    assert _descriptors() - before == set()


def _descriptors() -> set[tuple[str, str]]:
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        try:
            found.add((path.name, str(path.readlink())))
        except OSError:
            continue  # the one that listed the folder
    return found


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A directory such as callers of run_guest make."""
    directory = tmp_path / "case"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def fake_launch() -> FakeLaunch:
    """Launches the fake QEMU with a script, given as keyword arguments."""

    def make(*words: str, **script: Any) -> Launch:
        argv = (sys.executable, "-I", "-S", str(FAKE), *words)
        return Launch((*argv, "-fake", json.dumps(script)), ExitChannel.QEMU_EXIT)

    return make


@pytest.fixture
def run_fake(private: Path, fake_launch: FakeLaunch) -> RunFake:
    """Runs the fake QEMU with a script to its end."""

    def run(
        limits: Limits | None = None,
        on_console: Callable[[bytes], None] = lambda data: None,
        **script: Any,
    ) -> Outcome:
        limits = limits or Limits(timeout=60, stall=60, start=60)
        guest = run_guest(fake_launch(**script), private, limits, on_console=on_console)
        return asyncio.run(guest)

    return run


WithPeer = Callable[[Peer, Callable[[socket.socket], Coroutine[None, None, object]]], object]


@pytest.fixture
def with_peer() -> WithPeer:
    """Runs a coroutine with one end of a socketpair, and a scripted QMP peer at the other."""

    def run(peer: Peer, body: Callable[[socket.socket], Coroutine[None, None, object]]) -> object:
        async def both() -> object:
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=theirs)
            serving = asyncio.ensure_future(peer(reader, writer))
            try:
                return await body(ours)
            finally:
                serving.cancel()
                await asyncio.wait((serving,))
                writer.close()
                await asyncio.wait((asyncio.ensure_future(writer.wait_closed()),))

        return asyncio.run(both())

    return run


@pytest.fixture
def x86_image(tmp_path: Path) -> Callable[[bytes], Path]:
    """Makes a multiboot image, for ``-kernel``, of 32-bit code that is loaded at 1 MiB."""

    def make(code: bytes) -> Path:
        base, flags, magic = 0x100000, 0x10000, 0x1BADB002
        end = base + 32 + len(code)
        checksum = -(magic + flags) & 0xFFFFFFFF
        header = struct.pack("<8I", magic, flags, checksum, base, base, end, end, base + 32)
        path = tmp_path / "guest.img"
        path.write_bytes(header + code)
        return path

    return make
