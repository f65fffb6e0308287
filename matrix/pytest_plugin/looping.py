"""An event loop in a thread of its own, for synchronous code to have things done in."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

STOPPING = 60.0
"""Seconds for what still runs to clean up: a QEMU that the kernel does not let die takes 20."""


class LoopThread:
    """Runs coroutines for one other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="matrix-guests", daemon=True)

    def start(self) -> None:
        """Begin; to be ended by :meth:`close`."""
        self._thread.start()

    def close(self) -> None:
        """Cancel what still runs, wait for it, and end the thread."""
        self.call(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOPPING)
        self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Have it run to its end, and give its result or raise what it raised.

        Raises:
            KeyboardInterrupt: the user does not want to wait any longer; it was cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=STOPPING)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
