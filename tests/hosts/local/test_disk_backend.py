"""The process that serves a case's disk: there while the case runs, and gone with it."""

import asyncio
import os
import socket
import struct
from pathlib import Path

import psutil
import pytest

from matrix.hosts.local.disk_backend import DiskServer, disk_backend, socket_of
from matrix.model import Architecture, Case
from matrix.vhost_user.vhost_messages import HEADER, VERSION, Request
from matrix.vm.process import spawn
from tests import make

SERVED = ("-chardev", "socket,id=disk,path={vhost-user-disk:256K}")


def case_of(*qemu_params: str) -> Case:
    ours = make.build(Architecture.X86_64, builtin=True)
    return make.case(make.test(qemu_params=qemu_params), build=ours)


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_it_serves_the_disk_of_the_case_and_ends_with_it(tmp_path: Path) -> None:
    async def scene() -> str:
        async with disk_backend(case_of(*SERVED), tmp_path) as server:
            assert server is not None
            place = socket_of(tmp_path)
            assert len(os.fsencode(place)) < 108
            assert len(children()) == 1
            with socket.socket(socket.AF_UNIX) as qemu:
                qemu.settimeout(60)
                qemu.connect(place)
                qemu.sendall(HEADER.pack(Request.GET_CONFIG, VERSION, 20))
                qemu.sendall(struct.pack("<III8x", 0, 8, 0))
                answer = b""
                while len(answer) < HEADER.size + 20:
                    answer += qemu.recv(64)
            assert struct.unpack("<Q", answer[-8:]) == (512,)
            assert await server.stop() == ""
            return place

    place = asyncio.run(scene())
    assert (tmp_path / "disk.img").stat().st_size == 256 << 10
    assert not Path(place).parent.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk.img", "vhost-user.log"]
    assert (tmp_path / "vhost-user.log").read_text() == ""
    assert children() == []


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
def test_it_ends_with_a_case_that_fails(tmp_path: Path, error: type[BaseException]) -> None:
    async def scene() -> None:
        async with disk_backend(case_of(*SERVED), tmp_path):
            raise error

    with pytest.raises(error):
        asyncio.run(scene())
    assert children() == []
    assert not (tmp_path / "vhost-user.sock").is_symlink()


@pytest.mark.parametrize("words", [(), ("-drive", "file={disk:256K}")])
def test_other_cases_have_none(tmp_path: Path, words: tuple[str, ...]) -> None:
    async def scene() -> None:
        async with disk_backend(case_of(*words), tmp_path) as server:
            assert server is None
            assert children() == []
            assert os.listdir(tmp_path) == []  # noqa: PTH208 - in a coroutine

    asyncio.run(scene())
    assert socket_of(tmp_path) == str(tmp_path / "vhost-user.sock")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo one >&2; echo >&2; exit 3", "exited with 3: one"),
        ("exit 0", "exited with 0"),
        ("echo one >&2; kill -KILL $$", "was killed by SIGKILL"),
        ("kill -TERM $$", "was killed by SIGTERM"),
        ("kill -STOP $$", "was stopped by a signal"),
    ],
)
def test_why_it_served_no_longer(tmp_path: Path, script: str, why: str) -> None:
    log = tmp_path / "vhost-user.log"

    async def scene() -> str:
        with log.open("wb") as errors:
            process = await spawn(("sh", "-c", script), stderr=errors.fileno())
        over = asyncio.Event()
        server = DiskServer(process, tmp_path)
        server.on_end(over.set)
        if "STOP" in script:
            while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
                pass
        else:
            await over.wait()
        return await server.stop()

    assert asyncio.run(scene()) == f"the process that serves the disk {why}"
    assert children() == []
