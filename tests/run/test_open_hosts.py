"""Hosts are closed at the same time, whatever ends the run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from matrix.errors import HostError, HostLostError
from matrix.run.open_hosts import OpenHosts
from tests.run.conftest import FakeExecutor


@dataclass
class Two:
    """Hosts, each of which closes only while the other one does."""

    closing: int = 0
    closed: int = 0
    both: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def open(self, trouble: str = "") -> AsyncIterator[FakeExecutor]:
        try:
            yield FakeExecutor()
        finally:
            self.closing += 1
            if self.closing == 2:
                self.both.set()
            async with asyncio.timeout(60):
                await self.both.wait()
            self.closed += 1
            if trouble:
                raise HostError(trouble)


def test_all_are_closed_at_once() -> None:
    async def work() -> Two:
        two = Two()
        async with OpenHosts() as hosts:
            first, second = await hosts.open(two.open()), await hosts.open(two.open())
            assert first is not second
        return two

    assert asyncio.run(work()).closed == 2


def test_all_are_closed_where_the_run_is_broken_off() -> None:
    two = Two()

    async def work() -> None:
        async with OpenHosts() as hosts:
            await hosts.open(two.open())
            await hosts.open(two.open())
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())
    assert two.closed == 2


def test_trouble_in_closing_one_does_not_keep_the_other_open() -> None:
    two = Two()

    async def work() -> None:
        async with OpenHosts() as hosts:
            await hosts.open(two.open("no space left"))
            await hosts.open(two.open())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(work())
    assert [str(each) for each in caught.value.exceptions] == ["no space left"]
    assert two.closed == 2


def test_one_that_cannot_be_opened_says_so() -> None:
    @asynccontextmanager
    async def unusable(why: str = "it is off") -> AsyncIterator[FakeExecutor]:
        if why:
            raise HostLostError(why)
        yield FakeExecutor()

    async def work() -> None:
        async with OpenHosts() as hosts:
            with pytest.raises(HostLostError, match="it is off"):
                await hosts.open(unusable())

    asyncio.run(work())


def test_a_run_that_is_broken_off_while_one_is_opened() -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    @asynccontextmanager
    async def slow() -> AsyncIterator[FakeExecutor]:
        try:
            begun.set()
            await asyncio.Event().wait()
            yield FakeExecutor()
        finally:
            ended.append("slow")

    async def work() -> None:
        async with OpenHosts() as hosts:
            await hosts.open(slow())

    async def outer() -> None:
        task = asyncio.create_task(work())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(outer())
    assert ended == ["slow"]
