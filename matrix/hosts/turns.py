"""Several processes that would find out the same about this host take turns.

Jobs of a CI host that start together would each ask every QEMU and prove KVM, with all CPUs busy
for that; now one does, and the others read its answer from the cache. A turn is a lock (flock(2))
of a file beside the answer, which the kernel takes away from whoever dies.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from matrix.hosts.cache import Cache

PATIENCE = 180.0
"""Seconds that are waited for another process, which may be stopped: then it is done twice."""
LOOK_EVERY = 0.05
"""Seconds; a wait in flock(2) itself would need a thread, and could not be cancelled."""


@asynccontextmanager
async def turn(
    cache: Cache, name: str, on_wait: Callable[[], None], patience: float = PATIENCE
) -> AsyncIterator[None]:
    """Be the only process that finds out what the cache is to keep under ``name``.

    Whoever has the turn reads the cache once more: another one may have had it before. Where
    nothing can be kept, there are no turns.

    Args:
        cache: where the answer is kept.
        name: of the answer.
        on_wait: called if another process has the turn.
        patience: seconds after which it is not waited for any longer.
    """
    descriptor = cache.open_lock(name)
    if descriptor is None:
        yield
        return
    try:
        if not _locked(descriptor):
            on_wait()
            loop = asyncio.get_running_loop()
            end = loop.time() + patience
            while not _locked(descriptor) and loop.time() < end:  # noqa: ASYNC110 - see LOOK_EVERY
                await asyncio.sleep(LOOK_EVERY)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: nobody is waited for
    return True
