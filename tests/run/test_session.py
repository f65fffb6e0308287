"""A plan is carried out: order, limits, repeats, interrupts, and a host that fails."""

import asyncio
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.attempt import Attempt
from matrix.errors import HostError
from matrix.hosts.interface import Assignment, Ended
from matrix.model import Case, Expectation
from matrix.plan.decisions import Decision, Run
from matrix.plan.schedule import Capacity
from matrix.results.recorder import Recorder
from matrix.run import session
from matrix.run.progress import NullProgress, Progress, Running
from matrix.run.session import Session, Stop
from matrix.verdicts import Verdict
from tests import make
from tests.run.conftest import FakeExecutor, FakeHost, planned

ONE = Capacity(vcpus=1, memory=2**30)
TWO = Capacity(vcpus=2, memory=2**30)


class Notes(NullProgress):
    """A watcher that writes down what it is told."""

    def __init__(self) -> None:
        self.attempts = 0
        self.totals: list[int] = []
        self.ended: list[tuple[str, Verdict, float | None]] = []
        self.lines: list[str] = []
        self.cut: tuple[Case, ...] = ()

    def planned(self, decisions: list[Decision], attempts: int) -> None:
        self.attempts = attempts

    def expected(self, attempts: int) -> None:
        self.totals.append(attempts)

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:
        self.ended.append((running.decision.case.test.name, attempt.verdict, left))
        self.lines.append(running.console.last_line)

    def interrupted(self, cases: tuple[Case, ...]) -> None:
        self.cut = cases


async def carry_out(
    recorder: Recorder,
    executor: FakeExecutor,
    *,
    capacity: Capacity = ONE,
    notes: Progress | None = None,
    stop: Stop | None = None,
    durations: Mapping[str, float] | None = None,
) -> tuple[Case, ...]:
    host = FakeHost(executor, capacity)
    session = Session(recorder, [host], notes or NullProgress(), durations or {})
    return await session.run(list(recorder.record.decisions), stop or Stop())


Start = Callable[..., Recorder]


def test_every_case_is_run_and_recorded(start: Start) -> None:
    recorder = start(planned("a"), make.skip(make.case("s"), "no reason but this"), planned("b"))
    notes = Notes()
    asyncio.run(carry_out(recorder, FakeExecutor(), notes=notes))
    assert notes.attempts == 2
    assert sorted(name for name, _, _ in notes.ended) == ["a", "b"]
    assert recorder.record.unfinished() == ()
    assert recorder.record.counts()[Verdict.SKIP] == 1
    assert sorted(notes.lines) == ["a speaks", "b speaks"]


def test_the_longest_known_starts_first(start: Start) -> None:
    recorder = start(*(planned(name) for name in "abc"))
    executor = FakeExecutor()
    durations = {"scenario.a": 1.0, "scenario.b": 9.0, "scenario.c": 5.0}
    asyncio.run(carry_out(recorder, executor, durations=durations))
    assert executor.order == ["b", "c", "a"]


def test_what_is_unknown_counts_as_its_timeout(start: Start) -> None:
    recorder = start(planned("a", timeout=3.0), planned("b", timeout=60.0))
    executor = FakeExecutor()
    asyncio.run(carry_out(recorder, executor, durations={"scenario.a": 5.0}))
    assert executor.order == ["b", "a"]


def test_no_more_at_once_than_the_host_has(start: Start) -> None:
    recorder = start(*(planned(str(index)) for index in range(6)))
    executor = FakeExecutor(seconds=lambda _: 0.2)
    asyncio.run(carry_out(recorder, executor, capacity=TWO))
    assert executor.at_once == 2


def test_a_big_case_runs_alone(start: Start) -> None:
    recorder = start(planned("big", vcpus=8), planned("small"))
    executor = FakeExecutor(seconds=lambda _: 0.02)
    asyncio.run(carry_out(recorder, executor, capacity=TWO))
    assert executor.at_once == 1


def test_repeats_are_attempts_of_one_case(start: Start) -> None:
    recorder = start(planned("a", repeat=3))
    executor = FakeExecutor(
        verdicts=lambda _, number: Verdict.FAIL if number == 2 else Verdict.PASS
    )
    asyncio.run(carry_out(recorder, executor))
    result = recorder.record.result("scenario.a")
    assert result is not None
    assert [attempt.verdict for attempt in result.attempts] == ["pass", "fail", "pass"]
    assert result.verdict is Verdict.FLAKY


def verdict_of(*bad: int) -> Callable[[str, int], Verdict]:
    """Attempts with these numbers fail."""
    return lambda _, number: Verdict.FAIL if number in bad else Verdict.PASS


@pytest.mark.parametrize(
    ("settings", "bad", "made", "verdict", "totals"),
    [
        ({"repeat": 3, "until_fail": True}, (2,), [1, 2], Verdict.FLAKY, [2]),
        ({"repeat": 3, "until_fail": True}, (), [1, 2, 3], Verdict.PASS, []),
        ({"retries": 2}, (1,), [1, 2], Verdict.FLAKY, [2]),
        ({"retries": 2}, (1, 2, 3), [1, 2, 3], Verdict.FAIL, [2, 3]),
        ({"retries": 2}, (), [1], Verdict.PASS, []),
        ({"repeat": 2, "retries": 1}, (1, 2), [1, 2, 3], Verdict.FLAKY, [3]),
    ],
)
def test_attempts_follow_from_verdicts(
    start: Start,
    settings: dict[str, Any],
    bad: tuple[int, ...],
    made: list[int],
    verdict: Verdict,
    totals: list[int],
) -> None:
    recorder = start(planned("a", **settings))
    notes = Notes()
    asyncio.run(
        carry_out(
            recorder,
            FakeExecutor(verdicts=verdict_of(*bad)),
            capacity=TWO,
            notes=notes,
        )
    )
    result = recorder.record.result("scenario.a")
    assert result is not None
    assert [attempt.number for attempt in result.attempts] == made
    assert result.verdict is verdict
    assert notes.totals == totals
    folders = sorted(path.name for path in recorder.run.case_folder("scenario.a").glob("[0-9]"))
    assert folders == [str(number) for number in made]
    assert (recorder.run.case_folder("scenario.a") / "result.json").exists()


def test_repeats_until_a_failure_wait_for_each_other(start: Start) -> None:
    recorder = start(planned("a", repeat=4, until_fail=True))
    executor = FakeExecutor(seconds=lambda _: 0.01)
    asyncio.run(carry_out(recorder, executor, capacity=TWO))
    assert executor.at_once == 1
    assert len(executor.order) == 4


def test_a_chain_of_attempts_starts_before_single_ones(start: Start) -> None:
    recorder = start(planned("long"), planned("chain", repeat=5, until_fail=True))
    executor = FakeExecutor()
    durations = {"scenario.long": 4.0, "scenario.chain": 1.0}
    asyncio.run(carry_out(recorder, executor, durations=durations))
    assert executor.order == ["chain", "long", "chain", "chain", "chain", "chain"]


def test_what_will_not_be_run_is_not_forecast(start: Start) -> None:
    recorder = start(planned("a", repeat=100, until_fail=True), planned("b"))
    notes = Notes()
    executor = FakeExecutor(verdicts=verdict_of(1), seconds=lambda _: 0.02)
    durations = {"scenario.a": 0.02, "scenario.b": 0.02}
    asyncio.run(carry_out(recorder, executor, notes=notes, durations=durations))
    assert notes.attempts == 101
    left = notes.ended[0][2]
    assert left is not None
    assert left < 1.5  # all that were planned would take 2 s


def test_an_interrupt_stops_what_runs_and_starts_nothing_more(start: Start) -> None:
    recorder = start(planned("quick"), planned("slow"), planned("later"))
    notes, stop = Notes(), Stop()
    durations = {"scenario.quick": 9.0, "scenario.slow": 5.0, "scenario.later": 1.0}

    def seconds(name: str) -> float:
        if name != "slow":
            return 0.0
        asyncio.get_running_loop().call_soon(stop.request)  # when it runs
        return 300.0

    executor = FakeExecutor(seconds=seconds)
    cut = asyncio.run(carry_out(recorder, executor, notes=notes, stop=stop, durations=durations))
    assert [case.test.name for case in cut] == ["slow"]
    assert notes.cut == cut
    assert executor.order == ["quick", "slow"]
    assert recorder.record.unfinished() == ("scenario.slow", "scenario.later")


IDLE_VCPU = Capacity(vcpus=2, memory=2**30, jobs=1)
FALLING = {"scenario.a": 9.0, "scenario.b": 5.0, "scenario.c": 1.0}


def test_the_next_qemu_is_started_where_a_vcpu_is_idle(start: Start) -> None:
    recorder = start(*(planned(name) for name in "abc"))
    executor = FakeExecutor(seconds=lambda _: 0.05)
    beside: list[tuple[str, str]] = []

    class Watcher(Notes):
        def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:
            super().finished(running, attempt, left)
            beside.append((executor.order[-1], executor.prepared[-1]))

    notes = Watcher()
    asyncio.run(carry_out(recorder, executor, capacity=IDLE_VCPU, notes=notes, durations=FALLING))
    assert executor.at_once == 1  # one guest at a time, as -j 1 says
    assert executor.order == executor.prepared == ["a", "b", "c"]
    assert beside[0] == ("b", "c")  # the next one's was there when a ended
    assert [name for name, _, _ in notes.ended] == ["a", "b", "c"]
    assert recorder.record.unfinished() == ()


def test_on_a_host_without_an_idle_vcpu_nothing_is_started_early(start: Start) -> None:
    recorder = start(*(planned(name) for name in "abc"))
    executor = FakeExecutor(seconds=lambda _: 0.02)
    most = 0

    class Watcher(Notes):
        def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:
            nonlocal most
            most = max(most, len(executor.prepared) - len(self.ended))
            super().finished(running, attempt, left)

    asyncio.run(carry_out(recorder, executor, notes=Watcher(), durations=FALLING))
    assert most <= 2  # what ended, whose slot is given away before it is on disk, and its follower


def test_what_was_started_early_never_was_where_the_run_ends_before_its_turn(
    start: Start, tmp_path: Path
) -> None:
    recorder = start(*(planned(name) for name in "abc"))
    notes, stop = Notes(), Stop()

    def seconds(_name: str) -> float:
        asyncio.get_running_loop().call_later(0.05, stop.request)
        return 300.0

    executor = FakeExecutor(seconds=seconds)
    running = carry_out(
        recorder, executor, capacity=IDLE_VCPU, notes=notes, stop=stop, durations=FALLING
    )
    cut = asyncio.run(running)
    assert executor.prepared == ["a", "b"]
    assert [case.test.name for case in cut] == ["a"]
    assert recorder.record.unfinished() == ("scenario.a", "scenario.b", "scenario.c")
    assert "scenario.b" not in recorder.run.journal_path.read_text()
    copy = tmp_path / "copy"
    shutil.copytree(recorder.run.path, copy)
    with Recorder.resume(copy) as again:
        asyncio.run(carry_out(again, FakeExecutor()))
        assert again.record.unfinished() == ()


def test_what_qemu_refuses_early_is_told_in_its_turn(start: Start) -> None:
    recorder = start(*(planned(name) for name in "abc"))
    notes = Notes()
    executor = FakeExecutor(seconds=lambda _: 0.1, refused=frozenset({"b"}))
    asyncio.run(carry_out(recorder, executor, capacity=IDLE_VCPU, notes=notes, durations=FALLING))
    assert executor.prepared == ["a", "b", "c"]
    assert [name for name, _, _ in notes.ended] == ["a", "b", "c"]
    assert executor.order == ["a", "c"]


def test_a_resumed_run_runs_only_what_is_left(start: Start, tmp_path: Path) -> None:
    recorder = start(planned("a"), planned("b", repeat=2))
    attempt = Attempt(1, Verdict.PASS, "", 0.1, artifacts="")
    for decision in recorder.record.decisions:
        recorder.begin(decision.case, 1)
        recorder.finish(decision.case, attempt)
    copy = tmp_path / "copy"  # as a killed run leaves it: the other one still has its journal open
    shutil.copytree(recorder.run.path, copy)
    with Recorder.resume(copy) as again:
        executor = FakeExecutor()
        asyncio.run(carry_out(again, executor))
        assert executor.order == ["b"]
        assert again.record.unfinished() == ()


def test_a_resumed_run_knows_what_came_before(start: Start, tmp_path: Path) -> None:
    """The verdicts in the journal decide, not how many attempts there were."""
    chains = [planned(name, repeat=3, until_fail=True) for name in ("failed", "passed")]
    recorder = start(*chains, planned("retried", retries=2))
    for decision in recorder.record.decisions:
        passed = decision.case.test.name == "passed"
        recorder.begin(decision.case, 1)
        attempt = Attempt(1, Verdict.PASS if passed else Verdict.FAIL, "", 0.1, artifacts="")
        recorder.finish(decision.case, attempt)
    copy = tmp_path / "copy"
    shutil.copytree(recorder.run.path, copy)
    with Recorder.resume(copy) as again:
        notes = Notes()
        asyncio.run(carry_out(again, FakeExecutor(), notes=notes))
        assert sorted(name for name, _, _ in notes.ended) == ["passed", "passed", "retried"]
        assert notes.attempts == 3
        assert again.record.verdict("scenario.failed") is Verdict.FAIL
        assert again.record.verdict("scenario.retried") is Verdict.FLAKY
        assert again.record.unfinished() == ()


def test_a_host_that_fails_ends_the_run(start: Start) -> None:
    recorder = start(planned("a"), planned("full"), planned("c"))
    executor = FakeExecutor(broken=frozenset({"full"}))
    durations = {"scenario.a": 9.0, "scenario.full": 5.0, "scenario.c": 1.0}
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(carry_out(recorder, executor, durations=durations))
    assert caught.group_contains(HostError, match="no space left")
    assert recorder.record.unfinished() == ("scenario.full", "scenario.c")


def test_something_is_done_meanwhile(start: Start) -> None:
    recorder = start(*(planned(str(index)) for index in range(4)))
    executor = FakeExecutor(seconds=lambda _: 0.3)
    done: list[int] = []
    meanwhile = map(done.append, range(3))
    session = Session(recorder, [FakeHost(executor, ONE)], NullProgress(), {}, meanwhile=meanwhile)
    asyncio.run(session.run(list(recorder.record.decisions), Stop()))
    assert done == [0, 1, 2]


def test_all_is_done_meanwhile_beside_one_guest(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the end needs is there when an interrupt comes, however few guests were started."""
    monkeypatch.setattr(session, "GREETING", 0.0)  # one step while it starts
    recorder = start(planned("long"))
    done: list[int] = []

    async def work() -> None:
        enough = asyncio.Event()

        class Ending(FakeExecutor):
            async def execute(self, *arguments: Any) -> Ended:
                await enough.wait()
                return await super().execute(*arguments)

        def steps() -> Iterator[None]:
            for number in itertools.count():
                done.append(number)
                if number == 3:
                    enough.set()
                yield

        host = FakeHost(Ending(), ONE)
        running = Session(recorder, [host], NullProgress(), {}, meanwhile=steps())
        await running.run(list(recorder.record.decisions), Stop())
        assert running._idle.cancelled()

    asyncio.run(asyncio.wait_for(work(), 100))
    assert len(done) > 3


def test_what_is_known_to_hang_starts_before_what_has_as_much_time(start: Start) -> None:
    hangs = planned("hangs")
    known = Expectation("x:1", "r", ("hangs",), verdicts=(Verdict.STALL, Verdict.TIMEOUT))
    recorder = start(planned("a"), replace(hangs, expected=(known,)), planned("b", timeout=90.0))
    executor = FakeExecutor()
    asyncio.run(carry_out(recorder, executor))
    assert executor.order == ["b", "hangs", "a"]


def on(host: str, decision: Run) -> Run:
    return replace(decision, host=host)


async def carry_out_on(recorder: Recorder, *hosts: FakeHost) -> tuple[Case, ...]:
    session = Session(recorder, hosts, NullProgress(), {})
    return await session.run(list(recorder.record.decisions), Stop())


def reasons(recorder: Recorder) -> dict[str, str]:
    found = {each.test: f"{each.verdict.value} {each.reason}" for each in recorder.record.results()}
    return {name: text.strip() for name, text in found.items()}


def test_cases_run_on_their_hosts_at_the_same_time(start: Start) -> None:
    recorder = start(*(on("ab"[i % 2], planned(f"{i}")) for i in range(6)))
    hosts = [FakeHost(FakeExecutor(seconds=lambda _: 0.02), ONE, name) for name in "ab"]
    asyncio.run(carry_out_on(recorder, *hosts))
    assert [sorted(host.executor.order) for host in hosts] == [["0", "2", "4"], ["1", "3", "5"]]
    assert [host.executor.at_once for host in hosts] == [1, 1]
    assert [host.closed for host in hosts] == [True, True]
    attempts = [recorder.record.attempts(f"scenario.{i}")[0] for i in range(6)]
    assert [attempt.host for attempt in attempts] == ["a", "b"] * 3


def test_a_lost_host_makes_errors_of_its_cases_only(start: Start) -> None:
    recorder = start(*(on(host, planned(f"{host}{i}")) for i in range(3) for host in "ab"))
    executor = FakeExecutor(lost=frozenset({"a1"}))
    hosts = [FakeHost(executor, ONE, "a"), FakeHost(FakeExecutor(), ONE, "b")]
    asyncio.run(carry_out_on(recorder, *hosts))
    lost = "error host a is lost: its kernel panicked"
    assert reasons(recorder) == {
        "a0": "pass",
        "a1": lost,
        "a2": lost,
        **dict.fromkeys(("b0", "b1", "b2"), "pass"),
    }
    assert executor.order == ["a0", "a1"]  # it is asked for nothing more


def test_a_host_that_is_not_there_is_as_one_that_was_lost(start: Start) -> None:
    recorder = start(*(on(host, planned(host)) for host in "abc"))
    unusable = FakeHost(FakeExecutor(), ONE, "a", unusable="it does not boot")
    asyncio.run(carry_out_on(recorder, unusable, FakeHost(FakeExecutor(), ONE, "b")))
    assert reasons(recorder) == {
        "a": "error host a is lost: it does not boot",
        "b": "pass",
        "c": "error host c is lost: the run has no host of this name",
    }


def test_a_host_without_cases_is_not_opened(start: Start) -> None:
    recorder = start(on("a", planned("one")))
    idle = FakeHost(FakeExecutor(), ONE, "b", unusable="it would fail")
    asyncio.run(carry_out_on(recorder, FakeHost(FakeExecutor(), ONE, "a"), idle))
    assert reasons(recorder) == {"one": "pass"}


@pytest.mark.parametrize("same_paths", [True, False])
def test_a_host_with_the_same_paths_gets_them(
    start: Start, tmp_path: Path, same_paths: bool
) -> None:
    """Others get names, and the files by what is in them."""
    image = tmp_path / "guest.flat"
    image.write_bytes(b"guest")
    run = planned("boot")
    run = replace(run, case=replace(run.case, test=replace(run.case.test, image=str(image))))
    given: list[Assignment] = []

    class Taking(FakeExecutor):
        async def execute(self, assignment: Assignment, *arguments: Any) -> Ended:
            given.append(assignment)
            return await super().execute(assignment, *arguments)

    host = FakeHost(Taking(), ONE, same_paths=same_paths)
    asyncio.run(carry_out_on(start(run), host))
    (assignment,) = given
    if same_paths:
        assert (assignment.decision, assignment.files) == (run, ())
    else:
        (file,) = assignment.files
        assert assignment.decision.case.test.image == file.name != str(image)
