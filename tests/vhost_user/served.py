"""Disks that a thread of ours serves, by devices that a test chooses."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from matrix.vhost_user.__main__ import serve_all
from matrix.vhost_user.vhost_device import Device
from matrix.vhost_user.vhost_disk import Disk

PACE = 0.001


@contextlib.contextmanager
def served(
    path: Path,
    size: int,
    kind: Callable[[socket.socket, Disk, float], Device] = Device,
) -> Iterator[Path]:
    """The socket at which a new disk of so many bytes is served meanwhile."""
    file, place = path / "disk.img", path / "disk.sock"
    with file.open("wb") as new:
        new.truncate(size)
    disk = Disk(file)
    with contextlib.closing(disk), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        thread = threading.Thread(
            target=serve_all, args=(listener, lambda connection: kind(connection, disk, PACE))
        )
        thread.start()
        try:
            yield place
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
