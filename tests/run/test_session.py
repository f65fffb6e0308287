"""A plan is carried out: order, limits, repeats, interrupts, and a host that fails."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from matrix.errors import HostError
from matrix.model import Attempt, Case, Verdict
from matrix.plan.decisions import Decision
from matrix.plan.schedule import Capacity
from matrix.results.recorder import Recorder
from matrix.run.progress import Progress, Running, Silent
from matrix.run.session import Session, Stop

ONE = Capacity(vcpus=1, memory=2**30)
TWO = Capacity(vcpus=2, memory=2**30)


class Notes(Silent):
    """A watcher that writes down what it is told."""

    def __init__(self) -> None:
        self.attempts = 0
        self.ended: list[tuple[str, Verdict, float | None]] = []
        self.lines: list[str] = []
        self.cut: tuple[Case, ...] = ()

    def planned(self, decisions: list[Decision], attempts: int) -> None:
        self.attempts = attempts

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:
        self.ended.append((running.decision.case.test.name, attempt.verdict, left))
        self.lines.append(running.console.last_line)

    def interrupted(self, cases: tuple[Case, ...]) -> None:
        self.cut = cases


async def carry_out(
    recorder: Recorder,
    executor: Any,
    *,
    capacity: Capacity = ONE,
    notes: Progress | None = None,
    stop: Stop | None = None,
    durations: Mapping[str, float] | None = None,
) -> tuple[Case, ...]:
    session = Session(recorder, executor, capacity, notes or Silent(), durations or {})
    return await session.run(list(recorder.record.decisions), stop or Stop())


Start = Callable[..., Recorder]


def test_every_case_is_run_and_recorded(make: Any, start: Start) -> None:
    recorder = start(make.run("a"), make.skip("s"), make.run("b"))
    notes = Notes()
    asyncio.run(carry_out(recorder, make.executor(recorder), notes=notes))
    assert notes.attempts == 2
    assert sorted(name for name, _, _ in notes.ended) == ["a", "b"]
    assert recorder.record.unfinished() == ()
    assert recorder.record.counts()[Verdict.SKIP] == 1
    assert sorted(notes.lines) == ["a speaks", "b speaks"]


def test_the_longest_known_starts_first(make: Any, start: Start) -> None:
    recorder = start(*(make.run(name) for name in "abc"))
    executor = make.executor(recorder)
    durations = {"scenario.a": 1.0, "scenario.b": 9.0, "scenario.c": 5.0}
    asyncio.run(carry_out(recorder, executor, durations=durations))
    assert executor.order == ["b", "c", "a"]


def test_what_is_unknown_counts_as_its_timeout(make: Any, start: Start) -> None:
    recorder = start(make.run("a", timeout=3.0), make.run("b", timeout=60.0))
    executor = make.executor(recorder)
    asyncio.run(carry_out(recorder, executor, durations={"scenario.a": 5.0}))
    assert executor.order == ["b", "a"]


def test_no_more_at_once_than_the_host_has(make: Any, start: Start) -> None:
    recorder = start(*(make.run(str(index)) for index in range(6)))
    executor = make.executor(recorder, seconds=lambda _: 0.02)
    asyncio.run(carry_out(recorder, executor, capacity=TWO))
    assert executor.at_once == 2


def test_a_big_case_runs_alone(make: Any, start: Start) -> None:
    recorder = start(make.run("big", vcpus=8), make.run("small"))
    executor = make.executor(recorder, seconds=lambda _: 0.02)
    asyncio.run(carry_out(recorder, executor, capacity=TWO))
    assert executor.at_once == 1


def test_repeats_are_attempts_of_one_case(make: Any, start: Start) -> None:
    recorder = start(make.run("a", repeat=3))
    executor = make.executor(
        recorder, verdicts=lambda _, number: Verdict.FAIL if number == 2 else Verdict.PASS
    )
    asyncio.run(carry_out(recorder, executor))
    result = recorder.record.result("scenario.a")
    assert result is not None
    assert [attempt.verdict for attempt in result.attempts] == ["pass", "fail", "pass"]
    assert result.verdict is Verdict.FLAKY


def test_an_interrupt_stops_what_runs_and_starts_nothing_more(make: Any, start: Start) -> None:
    recorder = start(make.run("quick"), make.run("slow"), make.run("later"))
    executor = make.executor(recorder, seconds=lambda name: 30.0 if name == "slow" else 0.0)
    notes, stop = Notes(), Stop()
    durations = {"scenario.quick": 9.0, "scenario.slow": 5.0, "scenario.later": 1.0}

    async def interrupted() -> tuple[Case, ...]:
        asyncio.get_running_loop().call_later(0.1, stop.event.set)
        return await carry_out(recorder, executor, notes=notes, stop=stop, durations=durations)

    cut = asyncio.run(interrupted())
    assert [case.test.name for case in cut] == ["slow"]
    assert notes.cut == cut
    assert executor.order == ["quick", "slow"]
    assert recorder.record.unfinished() == ("scenario.slow", "scenario.later")


def test_a_resumed_run_runs_only_what_is_left(make: Any, start: Start, tmp_path: Path) -> None:
    recorder = start(make.run("a"), make.run("b", repeat=2))
    attempt = Attempt(1, Verdict.PASS, "", 0.1, artifacts="")
    for decision in recorder.record.decisions:
        recorder.begin(decision.case, 1)
        recorder.finish(decision.case, attempt)
    copy = tmp_path / "copy"  # as a killed run leaves it: the other one still has its journal open
    shutil.copytree(recorder.run.path, copy)
    with Recorder.resume(copy) as again:
        executor = make.executor(again)
        asyncio.run(carry_out(again, executor))
        assert executor.order == ["b"]
        assert again.record.unfinished() == ()


def test_a_host_that_fails_ends_the_run(make: Any, start: Start) -> None:
    recorder = start(make.run("a"), make.run("full"), make.run("c"))
    executor = make.executor(recorder, broken=frozenset({"full"}))
    durations = {"scenario.a": 9.0, "scenario.full": 5.0, "scenario.c": 1.0}
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(carry_out(recorder, executor, durations=durations))
    assert caught.group_contains(HostError, match="no space left")
    assert recorder.record.unfinished() == ("scenario.full", "scenario.c")


def test_something_is_done_meanwhile(make: Any, start: Start) -> None:
    recorder = start(*(make.run(str(index)) for index in range(4)))
    executor = make.executor(recorder, seconds=lambda _: 0.05)
    done: list[int] = []
    meanwhile = map(done.append, range(3))
    session = Session(recorder, executor, ONE, Silent(), {}, meanwhile=meanwhile)
    asyncio.run(session.run(list(recorder.record.decisions), Stop()))
    assert done == [0, 1, 2]
