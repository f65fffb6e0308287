"""``python -m matrix.vhost_user DISK PACE``: serve a disk to all that connect to its stdin.

Its stdin is a listening unix socket; PACE is the time between two requests of a guest, in seconds.
It ends with SIGTERM, or with its parent. What a QEMU does wrong is said on stderr, and ends that
connection alone.
"""

import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from matrix.vhost_user.vhost_device import Device
from matrix.vhost_user.vhost_disk import Disk
from matrix.vhost_user.vhost_messages import ProtocolError

Serve = Callable[[socket.socket], Device]


def serve_all(listener: socket.socket, device: Serve) -> None:
    """Accept connections until the listener is shut down; each has its own thread. Those that stand
    then are served to their end."""
    threads: list[threading.Thread] = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # it was shut down
            break
        threads = [each for each in threads if each.is_alive()]
        threads.append(threading.Thread(target=_serve, args=(device(connection),), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()


def _serve(device: Device) -> None:
    try:
        device.run()
    except (ProtocolError, OSError, ValueError) as error:
        print(f"vhost-user: {error}", file=sys.stderr, flush=True)


def main() -> int:
    """See the module."""
    path, pace = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    disk = Disk(Path(path))
    listener = socket.socket(fileno=sys.stdin.fileno())
    serve_all(listener, lambda connection: Device(connection, disk, float(pace)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
