"""This machine by worker processes, with guests that are programs of ours in kvmtool's place."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest

from matrix.errors import HostLostError
from matrix.hosts.contents import with_names
from matrix.hosts.interface import Assignment
from matrix.hosts.workers.local_workers import LocalWorkers, WorkersExecutor
from matrix.plan.schedule import Capacity
from matrix.results.recorder import Recorder
from matrix.verdicts import Verdict
from tests.hosts.guest_lab import GuestLab
from tests.hosts.guest_lab import nothing_left_behind as nothing_left_behind


class Lab(GuestLab):
    def host(self, count: int = 2, silence: float = 60.0) -> LocalWorkers:
        return LocalWorkers(
            self.inventory, Capacity(4, 2**33), count, self.said.append, silence=silence
        )

    def run(
        self,
        work: Callable[[WorkersExecutor, list[Assignment]], Coroutine[Any, Any, None]],
        *names: str,
        host: LocalWorkers | None = None,
        held: bool = False,
    ) -> Path:
        """``work`` with an open host and the assignments of these cases."""
        decisions = [self.decision(name) for name in names]
        recorder = self.start(*decisions)
        assignments = []
        for decision in decisions:
            folder = recorder.run.relative(recorder.begin(decision.case, 1))
            crossing, files = with_names(decision, self.contents)
            token = decision.case.test.name
            assignments.append(Assignment(token, crossing, 1, folder, files, held))

        async def opened() -> None:
            host_ = host or self.host()
            async with host_.open(recorder.run.path, self.contents) as executor:
                await work(executor, assignments)

        asyncio.run(opened())
        assert not (self.folder / "overlap").exists()
        return recorder.run.path


@pytest.fixture
def lab(tmp_path: Path, start: Callable[..., Recorder]) -> Lab:
    return Lab(tmp_path, start)


async def worker_of(guest: psutil.Process) -> psutil.Process:
    parent = guest.parent()
    assert parent is not None
    return parent


def gone(process: psutil.Process) -> bool:
    """Whether it runs no more. Its descriptors are closed a moment before it is seen as dead, and
    who adopted it may not have reaped it yet."""
    for _ in range(1000):
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_each_gets_the_worker_with_least_to_do(lab: Lab) -> None:
    workers = []

    async def work(executor: WorkersExecutor, assignments: list[Assignment]) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(lab.attempt(executor, each)) for each in assignments]
            for each in assignments:
                workers.append(await worker_of(await lab.guest(each.token)))
            for each in assignments:
                lab.go(each.token)
        attempts = [task.result() for task in running]
        assert [attempt and attempt.verdict for attempt in attempts] == [Verdict.PASS] * 4

    run = lab.run(work, *"abcd")
    pids = [worker.pid for worker in workers]
    assert sorted(map(pids.count, set(pids))) == [2, 2]
    assert lab.printed["a"].startswith("begin")
    assert (run / "cases/s.a/console.log").read_text().startswith("begin")
    assert lab.said == []
    assert not (run / "workers").exists()


def test_an_attempt_of_a_worker_that_was_killed_runs_again(lab: Lab) -> None:
    async def work(executor: WorkersExecutor, assignments: list[Assignment]) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(lab.attempt(executor, each)) for each in assignments]
            first = await lab.guest("a")
            await lab.guest("b")
            (await worker_of(first)).kill()
            await lab.guest("a", 2)
            assert gone(first)
            for each in assignments:
                lab.go(each.token)
        attempts = [task.result() for task in running]
        assert [attempt and attempt.verdict for attempt in attempts] == [Verdict.PASS] * 2

    run = lab.run(work, "a", "b")
    assert lab.said == ["the worker was killed by SIGKILL"]
    assert [len(lab.pids(name)) for name in "ab"] == [2, 1]
    assert (run / "cases/s.a.interrupted-1/console.log").exists()


def test_what_loses_three_workers_is_an_error(lab: Lab) -> None:
    async def work(executor: WorkersExecutor, assignments: list[Assignment]) -> None:
        running = asyncio.create_task(lab.attempt(executor, assignments[0]))
        for count in (1, 2, 3):
            (await worker_of(await lab.guest("a", count))).kill()
        attempt = await running
        assert attempt is not None
        assert attempt.verdict is Verdict.ERROR
        assert attempt.reason == "3 workers were lost with it; the worker was killed by SIGKILL"

    lab.run(work, "a")
    assert len(lab.pids("a")) == 3


def test_a_worker_that_hangs_is_given_up(lab: Lab) -> None:
    async def work(executor: WorkersExecutor, assignments: list[Assignment]) -> None:
        running = asyncio.create_task(lab.attempt(executor, assignments[0]))
        (await worker_of(await lab.guest("a"))).suspend()
        lab.go("a")
        attempt = await running
        assert attempt is not None
        assert attempt.verdict is Verdict.PASS

    lab.run(work, "a", host=lab.host(silence=5.0))
    (said,) = lab.said
    assert "killed by SIGKILL: it showed no sign of life for 5 s" in said


def test_one_that_waits_for_its_turn_is_released_also_when_it_begins_again(lab: Lab) -> None:
    lab.go("a")

    async def work(executor: WorkersExecutor, assignments: list[Assignment]) -> None:
        running = asyncio.create_task(lab.attempt(executor, assignments[0]))
        await asyncio.sleep(0)
        executor.release("a")
        attempt = await running
        assert attempt is not None
        assert attempt.verdict is Verdict.PASS

    lab.run(work, "a", held=True)


def test_a_cancelled_attempt_comes_to_nothing(lab: Lab) -> None:
    async def work(executor: WorkersExecutor, assignments: list[Assignment]) -> None:
        running = asyncio.create_task(lab.attempt(executor, assignments[0]))
        guest = await lab.guest("a")
        executor.cancel("a")
        assert await running is None
        assert gone(guest)

    lab.run(work, "a")


@pytest.mark.parametrize("hangs", [False, True])
def test_nothing_is_left_of_what_was_broken_off(lab: Lab, hangs: bool) -> None:
    async def work(executor: WorkersExecutor, assignments: list[Assignment]) -> None:
        running = asyncio.create_task(lab.attempt(executor, assignments[0]))
        guest = await lab.guest("a")
        if hangs:
            (await worker_of(guest)).suspend()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert gone(guest)

    lab.run(work, "a")


def test_a_worker_that_cannot_work_is_told_in_its_own_words(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "matrix.py").write_text("raise SystemExit('matrix: no such luck')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    monkeypatch.chdir(broken)

    async def work(executor: WorkersExecutor, assignments: list[Assignment]) -> None:
        attempt = await lab.attempt(executor, assignments[0])
        assert attempt is not None
        assert attempt.reason == (
            "3 workers were lost with it; the worker ended with status 1 (matrix: no such luck)"
        )

    run = lab.run(work, "a")
    assert len(list((run / "workers").iterdir())) == 3


def test_no_worker_can_be_started(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python")

    async def work(executor: WorkersExecutor, assignments: list[Assignment]) -> None:
        with pytest.raises(HostLostError, match=r"no worker can be started: .*/no/python"):
            await lab.attempt(executor, assignments[0])

    lab.run(work, "a")
