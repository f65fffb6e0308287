"""Waiting for something to become true of several QEMU processes, without polling.

Whatever happens to one of them (an event, its exit) is put up on the board, and those who wait look
again at what they wait for.
"""

import asyncio
from collections.abc import Callable


class Board:
    """Wakes up all who wait whenever something has happened."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def changed(self) -> None:
        """Something has happened: those who wait look again."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, holds: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until ``holds()``, ``seconds`` at most (None: as long as it takes); whether it does.

        ``holds`` must depend only on what is put up on this board.
        """
        loop = asyncio.get_running_loop()
        deadline = None if seconds is None else loop.time() + seconds
        while not holds():
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                return False
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait((waiter,), timeout=left)
            finally:
                self._waiters.discard(waiter)
        return True
