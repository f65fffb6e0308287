"""An attempt on its way to its host and back."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.errors import HostError, HostLostError
from matrix.hosts.interface import Executor
from matrix.plan.decisions import LOCAL, Run
from matrix.results.recorder import Recorder
from matrix.run.dispatch import Dispatcher, ignore_event
from matrix.verdicts import Verdict
from tests.run.conftest import INVENTORY, FakeExecutor, FakeLender, planned


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


def far() -> Run:
    """A case whose guest goes from z1 to z2."""
    run = planned("far")
    return replace(run, case=replace(run.case, suite="kvm-unit-tests"), host="z1", gang=("z2",))


@pytest.mark.parametrize(
    ("executor", "reason", "blamed", "lost"),
    [
        (FakeExecutor(), "host z1 gets no cases: z2 starts no QEMUs that are driven from", "", {}),
        (FakeLender(trouble=HostError("z2: no disk")), "z2: no disk", "z2", {}),
        (
            FakeLender(trouble=HostLostError("it is gone"), lost="it is gone"),
            "host z2 is lost: it is gone",
            "z2",
            {"z2": "it is gone"},
        ),
    ],
)
def test_trouble_of_one_of_two_hosts_is_told_with_its_name(
    start: Callable[..., Recorder],
    executor: FakeExecutor,
    reason: str,
    blamed: str,
    lost: dict[str, str],
) -> None:
    decision = far()
    recorder = start(decision)
    folder = recorder.prepare(decision.case, 1)

    async def scenario() -> None:
        executors: dict[str, Executor] = {"z2": executor, "z1": FakeLender()}
        dispatcher = Dispatcher(recorder.run, executors, inventories={"z1": INVENTORY})
        attempt = await dispatcher.execute(decision, 1, Path(folder), ignore_event)
        assert attempt is not None
        assert (attempt.verdict, attempt.reason[: len(reason)]) == (Verdict.ERROR, reason)
        assert (attempt.hosts, attempt.blamed) == (("z1", "z2"), blamed)
        assert dispatcher.lost == lost

    asyncio.run(scenario())


def test_a_case_of_two_hosts_is_not_begun_where_one_is_lost(
    start: Callable[..., Recorder],
) -> None:
    decision = far()
    recorder = start(decision)
    folder = recorder.prepare(decision.case, 1)
    dispatcher = Dispatcher(recorder.run, {"z1": FakeLender()}, {"z2": "it is gone"})
    attempt = asyncio.run(dispatcher.execute(decision, 1, Path(folder), ignore_event))
    assert attempt is not None
    assert attempt.reason == "host z2 is lost: it is gone"
