"""An attempt on its way to its host and back."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.plan.decisions import LOCAL
from matrix.results.recorder import Recorder
from matrix.run.dispatch import Dispatcher, ignore_event
from matrix.verdicts import Verdict
from tests.run.conftest import FakeExecutor, planned


@pytest.mark.parametrize("steps", range(4))
def test_a_turn_that_comes_at_any_moment_is_not_lost(
    start: Callable[..., Recorder], steps: int
) -> None:
    """Also before the attempt has taken its first step: it is asked for within one turn of the
    event loop where another one has just ended."""
    decision = planned("held")
    recorder = start(decision)
    folder = recorder.prepare(decision.case, 1)

    async def scenario() -> Verdict | None:
        dispatcher = Dispatcher(recorder.run, {LOCAL: FakeExecutor()})
        attempt = asyncio.create_task(
            dispatcher.execute(decision, 1, Path(folder), ignore_event, held=True)
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        dispatcher.release(decision, 1)
        ended = await asyncio.wait_for(attempt, 20)
        return None if ended is None else ended.verdict

    assert asyncio.run(scenario()) is Verdict.PASS
