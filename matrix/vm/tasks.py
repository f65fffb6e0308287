"""Waiting without leaks: tasks end with their owner, cancellation does not cut cleanup short."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first_of(future: asyncio.Future[T], *coroutines: Coroutine[Any, Any, T]) -> T:
    """Run the coroutines until one of them or the future has a result, and return that.

    Of several results at the same time the leftmost counts. The coroutines that are not done are
    cancelled and awaited before this returns; the future is left alone. What the winner raised is
    raised here.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait((future, *tasks), return_when=asyncio.FIRST_COMPLETED)
        return next(waited.result() for waited in (future, *tasks) if waited.done())
    finally:
        for task in tasks:
            task.cancel()
        await put_off_cancellation(asyncio.gather(*tasks, return_exceptions=True))


async def put_off_cancellation(work: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
    """Wait until ``work``, which must be bounded in time, is done, even if we are cancelled.

    Raises:
        CancelledError: we were cancelled meanwhile; ``work`` is done all the same.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen, lest asyncio complains that nobody looked
        raise cancelled
    return task.result()


async def in_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns, without blocking the event loop where the host has a thread for it."""
    try:
        return await asyncio.to_thread(work)
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
    return work()


class Board:
    """Waits for something to become true of several processes, without polling.

    Whatever happens to one of them (an event, its exit) is put up on the board, and those who wait
    look again at what they wait for.
    """

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
