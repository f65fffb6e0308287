import asyncio

import pytest

from matrix.vm.tasks import first_of, put_off_cancellation


def test_the_future_wins_over_a_coroutine() -> None:
    async def body() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.set_result("future")

        async def other() -> str:
            return "coroutine"

        assert await first_of(future, other()) == "future"

    asyncio.run(body())


def test_losers_are_cancelled_and_awaited() -> None:
    cleaned = []

    async def loser() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("up")
        return "late"

    async def winner() -> str:
        await asyncio.sleep(0.01)
        return "first"

    async def body() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        assert await first_of(future, loser(), winner()) == "first"
        assert cleaned == ["up"]
        assert not future.done()

    asyncio.run(body())


def test_what_the_winner_raises_is_raised() -> None:
    async def body() -> None:
        async def bad() -> str:
            raise LookupError("bad")

        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        with pytest.raises(LookupError, match="bad"):
            await first_of(future, bad())

    asyncio.run(body())


def test_cancellation_waits_for_the_work() -> None:
    done = []

    async def body() -> None:
        enough = asyncio.Event()

        async def work() -> None:
            await enough.wait()
            done.append(True)

        task = asyncio.ensure_future(put_off_cancellation(work()))
        for _ in range(3):
            await asyncio.sleep(0.01)
            task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        enough.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == [True]

    asyncio.run(body())


def test_failed_work_does_not_hide_the_cancellation() -> None:
    async def work() -> None:
        await asyncio.sleep(0.02)
        raise LookupError("seen by nobody, and nothing is logged about it")

    async def body() -> None:
        task = asyncio.ensure_future(put_off_cancellation(work()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(body())
