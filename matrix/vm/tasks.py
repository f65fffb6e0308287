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
