"""How many virtual hosts live at a time."""

import asyncio
from typing import Any

from matrix.hosts.virtual.virtual_host import Room


class Living:
    """What a room sees of an executor."""

    def __init__(self, *, idle: bool = True) -> None:
        self.idle = idle
        self.rested = 0

    async def rest(self) -> None:
        self.rested += 1


def test_the_host_that_was_idle_the_longest_makes_room() -> None:
    room = Room(2)
    first, busy, last = Living(), Living(idle=False), Living()
    others: list[Any] = [first, busy, first, last, last]

    async def run() -> None:
        for each in others:
            await room.enter(each)

    asyncio.run(run())
    assert (first.rested, busy.rested, last.rested) == (1, 0, 0)


def test_hosts_that_all_have_work_stay() -> None:
    room = Room(1)
    living: list[Any] = [Living(idle=False), Living(idle=False)]

    async def run() -> None:
        for each in living:
            await room.enter(each)

    asyncio.run(run())
    assert [each.rested for each in living] == [0, 0]
