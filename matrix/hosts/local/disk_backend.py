"""The disk of a case that QEMU gets from a process of ours (:mod:`matrix.vhost_user`)."""

import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from matrix.migration.folder import PrivateFolder
from matrix.model import Case
from matrix.places import own_command
from matrix.plan.disks import disk_size, has_backend
from matrix.results.files import host_errors
from matrix.vm.process import spawn
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
async def disk_backend(case: Case, folder: Path) -> AsyncIterator[None]:
    """Serve the case's disk meanwhile, where it is one that is served; ``folder``: the attempt's.

    Raises:
        HostError: it cannot be.
    """
    if not has_backend(case):
        yield
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
    try:
        yield
    finally:
        await put_off_cancellation(process.stop(GRACE))
        place.remove()
        (folder / SOCKET_LINK).unlink(missing_ok=True)
