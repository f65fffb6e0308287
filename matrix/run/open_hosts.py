"""Hosts that are open together, and are closed at the same time.

Each may take a second to say good-bye to one that hangs: one after the other those would add up.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from matrix.hosts.interface import Executor


class OpenHosts:
    """A context manager, on leaving which all that was opened is closed."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._leave = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave.set()
        await self._group.__aexit__(kind, error, traceback)

    async def open(self, opening: AbstractAsyncContextManager[Executor]) -> Executor:
        """Enter a host's context, in a task of its own, as that has to leave it too.

        Raises what entering raises.
        """
        entered: asyncio.Future[Executor] = asyncio.get_running_loop().create_future()
        task = self._group.create_task(self._keep(opening, entered))
        try:
            return await asyncio.shield(entered)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def _keep(
        self,
        opening: AbstractAsyncContextManager[Executor],
        entered: "asyncio.Future[Executor]",
    ) -> None:
        try:
            async with opening as executor:
                entered.set_result(executor)
                await self._leave.wait()
        except Exception as error:  # raised again where it belongs: to who opens it, or the group
            if entered.done():
                raise
            entered.set_exception(error)
