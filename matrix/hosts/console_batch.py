"""What guests print, on its way to an orchestrator: collected for a moment, and bounded."""

import asyncio
from collections.abc import Callable

from matrix.hosts.interface import Console

DELAY = 0.05
"""Seconds that output is collected for before it is sent: it is for people who watch."""
MOST = 8 << 10
"""Characters of it that are kept meanwhile; the files on disk have all."""
UNREAD_MOST = 1 << 20
"""Bytes that may wait for an orchestrator that is busy; more output is not sent then."""


class ConsoleBatch:
    """The output of one guest."""

    def __init__(self, send: Callable[[Console], None]) -> None:
        """``send`` is given it, piece by piece."""
        self._send = send
        self._text: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, text: str) -> None:
        """It has printed."""
        self._text.append(text)
        self._size += len(text)
        if self._size > 2 * MOST:
            self._text = ["".join(self._text)[-MOST:]]
            self._size = MOST
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self.flush)

    def flush(self) -> None:
        """Send what was printed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            text = "".join(self._text)[-MOST:]
            self._text, self._size = [], 0
            self._send(Console(text))
