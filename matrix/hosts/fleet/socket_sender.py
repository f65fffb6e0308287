"""Sends to a socket without waiting: what it does not take at once follows when it does."""

import asyncio
import socket
from collections.abc import Callable


class SocketSender:
    """What is to be sent over one end of a QEMU's monitor connection."""

    def __init__(self, sock: socket.socket, on_sent: Callable[[], None] = lambda: None) -> None:
        """``sock`` does not block, and stays the caller's; ``on_sent`` is called each time that
        nothing is left to send."""
        self._sock = sock
        self._on_sent = on_sent
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()

    def send(self, data: bytes) -> None:
        """Send that after all that was sent before; it is lost if nobody reads any more."""
        waits = bool(self._unsent)
        self._unsent += data
        if not waits:
            self._send()

    def close(self) -> None:
        """Send nothing more; to be called before the socket is closed."""
        self._loop.remove_writer(self._sock)

    def _send(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            self._loop.add_writer(self._sock, self._send)
            return
        except OSError:  # whoever read it is gone
            self._unsent.clear()
        self._loop.remove_writer(self._sock)
        self._on_sent()
