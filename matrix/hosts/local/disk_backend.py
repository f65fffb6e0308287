"""The disk of a case that QEMU gets from a process of ours (:mod:`matrix.vhost_user`)."""

import contextlib
import os
import shlex
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from matrix.attempt import signal_name
from matrix.migration.folder import PrivateFolder
from matrix.model import Case
from matrix.places import own_command
from matrix.plan.disks import disk_size, has_backend
from matrix.results.files import host_errors, read_tail
from matrix.vm.cputime import STOPPED
from matrix.vm.process import Process, spawn
from matrix.vm.tasks import put_off_cancellation

SOCKET_LINK = "vhost-user.sock"
"""Name, in the attempt's folder, of a link to the socket: the path of that must be short."""
DISK_FILE = "disk.img"
"""Name, in the attempt's folder, of the disk that is made for the case."""
LOG_FILE = "vhost-user.log"
PACE = 0.001
"""Seconds between two requests of the guest: slow, so that others are always waiting."""
GRACE = 5.0
"""Seconds that it may take to end."""
WHO = "the process that serves the disk"
TAIL = 512
"""Bytes of its log in which the last line is looked for."""


class DiskServer:
    """The process that serves a case's disk, and its log."""

    def __init__(self, process: Process, folder: Path) -> None:
        """Owns the process; ``folder`` has the disk, its log and the link to its socket."""
        self._process = process
        self._folder = folder.absolute()

    def on_end(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called once it has ended, by itself or not."""
        self._process.on_exit(callback)

    def by_hand(self) -> str:
        """How the disk is served to a QEMU that is started by hand, in words."""
        place = Path(socket_of(self._folder))
        disk, path = (str(each).replace(",", ",,") for each in (self._folder / DISK_FILE, place))
        disk = f"file,node-name=disk,filename={disk}"
        served = "vhost-user-blk,id=disk,node-name=disk,writable=on"
        served += f",addr.type=unix,addr.path={path}"
        words = ("qemu-storage-daemon", "--blockdev", disk, "--export", served)
        folder = shlex.quote(str(place.parent))
        return f"Its disk must be served first: mkdir -m 700 {folder}; {shlex.join(words)}"

    async def stop(self) -> str:
        """End it, once its guest is gone; why it did not serve until then, else an empty string.

        Raises:
            HostError: the kernel does not let it die.
        """
        return await put_off_cancellation(self._stop())

    async def _stop(self) -> str:
        process = self._process
        if any(thread.state == STOPPED for thread in await process.threads()):
            await process.destroy()  # it does not heed SIGTERM
            return f"{WHO} was stopped by a signal"
        process.kill_group(signal.SIGTERM)
        heeds = await process.ended_within(GRACE)
        await process.destroy()
        # One that is just being killed loses its connections first, and is alive to kill_group():
        # its status says whose signal it was.
        if process.ended_by_us and (process.status == -signal.SIGTERM or not heeds):
            return ""
        return self._ended(process.status or 0)

    def _ended(self, status: int) -> str:
        if status < 0:
            return f"{WHO} was killed by {signal_name(-status)}"
        lines = read_tail(self._folder / LOG_FILE, TAIL).decode("utf-8", "replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{WHO} exited with {status}" + (f": {said}" if said else "")


def made_disk(path: Path, size: int) -> str:
    """The path of the disk of so many bytes, which is made where there is none yet.

    Raises:
        HostError: it cannot be made.
    """
    with host_errors("write", path):
        path.touch(mode=0o600)
        os.truncate(path, size)
    return str(path)


def socket_of(folder: Path) -> str:
    """Where the disk of a case is served whose folder that is; nowhere yet, maybe."""
    link = folder / SOCKET_LINK
    return os.readlink(link) if link.is_symlink() else str(link)  # noqa: PTH115 - as it is


@contextlib.asynccontextmanager
async def disk_backend(case: Case, folder: Path) -> AsyncIterator[DiskServer | None]:
    """Serve the case's disk meanwhile, where it is one that is served; None where it is not.
    ``folder`` is the attempt's.

    Raises:
        HostError: it cannot be.
    """
    if not has_backend(case):
        yield None
        return
    disk = made_disk(folder / DISK_FILE, disk_size(case.test.qemu_params))
    with host_errors("serve a disk from", folder):
        place = PrivateFolder.make()
        try:
            listener, path = socket.socket(socket.AF_UNIX), place.path / "disk.sock"
            log = os.open(folder / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with listener, os.fdopen(log, "wb") as errors:
                listener.bind(str(path))
                listener.listen()
                (folder / SOCKET_LINK).symlink_to(path)
                command = (*own_command("matrix.vhost_user"), disk, str(PACE))
                process = await spawn(command, stdin=listener.fileno(), stderr=errors.fileno())
        except BaseException:  # a cancellation too: no folder stays
            place.remove()
            raise
    server = DiskServer(process, folder)
    try:
        yield server
    finally:
        await server.stop()
        place.remove()
        (folder / SOCKET_LINK).unlink(missing_ok=True)
