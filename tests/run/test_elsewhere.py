"""Cases that may run on several hosts: retries, lost hosts and trouble of one go to another."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from matrix.attempt import Attempt
from matrix.plan.decisions import Run
from matrix.plan.health import QuarantineRules
from matrix.plan.schedule import Capacity
from matrix.results.case_record import record_of
from matrix.results.directory import RunDirectory
from matrix.results.plan_file import read_plan
from matrix.results.recorder import Recorder
from matrix.run.progress import NullProgress, Running
from matrix.run.session import MOST_MOVES, Session, Stop
from matrix.verdicts import Verdict
from tests import make
from tests.run.conftest import FakeExecutor, FakeHost, planned

ONE = Capacity(vcpus=1, memory=2**30)
Start = Callable[..., Recorder]


@dataclass
class Moves(NullProgress):
    """A watcher that keeps what was moved."""

    seen: list[tuple[str, str]] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)

    def moved(self, running: Running, attempt: Attempt) -> None:
        self.seen.append((running.decision.case.test.name, attempt.host))

    def host_lost(self, host: str, why: str) -> None:
        self.lost.append((host, why))


def anywhere(decision: Run, *hosts: str) -> Run:
    others = tuple((name, f"why on {name}") for name in hosts[1:])
    return replace(decision, host=hosts[0], elsewhere=others)


def carry_out(recorder: Recorder, *hosts: FakeHost, progress: Moves | None = None) -> None:
    session = Session(recorder, hosts, progress or Moves(), {})
    asyncio.run(session.run(list(recorder.record.decisions), Stop()))


def ends(verdict: Verdict) -> FakeExecutor:
    return FakeExecutor(lambda _name, _attempt: verdict)


def places(recorder: Recorder) -> list[tuple[str, str, Verdict]]:
    """Of each attempt: test, host, verdict."""
    return [
        (decision.case.test.name, attempt.host, attempt.verdict)
        for decision in recorder.record.decisions
        for attempt in recorder.record.attempts(decision.case.id)
    ]


def test_an_idle_host_takes_cases_of_another(start: Start) -> None:
    recorder = start(*(anywhere(planned(name), "a", "b") for name in "wxyz"))
    a, b = FakeExecutor(), FakeExecutor()
    carry_out(recorder, FakeHost(a, ONE, "a"), FakeHost(b, ONE, "b"))
    assert a.order
    assert b.order
    assert sorted(a.order + b.order) == ["w", "x", "y", "z"]
    assert {(name, host) for name, host, _ in places(recorder)} == {
        *((name, "a") for name in a.order),
        *((name, "b") for name in b.order),
    }


def test_a_retry_prefers_another_host(start: Start) -> None:
    recorder = start(anywhere(planned("t", retries=2), "a", "b", "c"))
    hosts = [FakeHost(ends(Verdict.FAIL), ONE, name) for name in "abc"]
    carry_out(recorder, *hosts)
    assert [host for _, host, _ in places(recorder)] == ["a", "b", "c"]


def test_a_retry_without_another_host_is_on_the_same(start: Start) -> None:
    recorder = start(anywhere(planned("t", retries=1), "a"))
    carry_out(recorder, FakeHost(ends(Verdict.FAIL), ONE, "a"))
    assert [host for _, host, _ in places(recorder)] == ["a", "a"]


def test_spread_attempts_take_turns(start: Start) -> None:
    run = anywhere(planned("t", repeat=5), "a", "b", "c")
    case = replace(run.case, settings=replace(run.case.settings, spread=True))
    recorder = start(replace(run, case=case))
    carry_out(recorder, *(FakeHost(FakeExecutor(), ONE, name) for name in "abc"))
    assert sorted(host for _, host, _ in places(recorder)) == ["a", "a", "b", "b", "c"]


def test_a_retry_of_a_spread_case_is_on_the_next_host(start: Start) -> None:
    run = anywhere(planned("t", retries=1), "a", "b", "gone")
    case = replace(run.case, settings=replace(run.case.settings, spread=True))
    recorder = start(replace(run, case=case))
    carry_out(recorder, *(FakeHost(ends(Verdict.FAIL), ONE, name) for name in "ab"))
    assert [host for _, host, _ in places(recorder)] == ["a", "b"]


def test_trouble_of_a_host_is_tried_elsewhere(start: Start) -> None:
    recorder = start(anywhere(planned("t"), "a", "b"))
    moves = Moves()
    hosts = FakeHost(ends(Verdict.ERROR), ONE, "a"), FakeHost(FakeExecutor(), ONE, "b")
    carry_out(recorder, *hosts, progress=moves)
    assert places(recorder) == [("t", "b", Verdict.PASS)]
    assert moves.seen == [("t", "a")]
    assert recorder.record.unfinished() == ()


def test_trouble_everywhere_ends_after_two_moves(start: Start) -> None:
    recorder = start(anywhere(planned("t"), *"abcd"))
    moves = Moves()
    carry_out(recorder, *(FakeHost(ends(Verdict.ERROR), ONE, n) for n in "abcd"), progress=moves)
    assert len(moves.seen) == MOST_MOVES
    assert places(recorder) == [("t", "c", Verdict.ERROR)]


def test_cases_of_a_lost_host_run_elsewhere(start: Start) -> None:
    lost = FakeExecutor(lost=frozenset("wxyz"))
    recorder = start(
        *(anywhere(planned(name), "a", "b") for name in "wxyz"), anywhere(planned("v"), "a")
    )
    moves = Moves()
    carry_out(
        recorder, FakeHost(lost, ONE, "a"), FakeHost(FakeExecutor(), ONE, "b"), progress=moves
    )
    found = {name: (host, verdict) for name, host, verdict in places(recorder)}
    assert {found[name] for name in "wxyz"} == {("b", Verdict.PASS)}
    assert found["v"] == ("a", Verdict.ERROR)
    assert len(moves.seen) <= 1


def test_a_host_that_cannot_be_opened_gets_none_that_runs_elsewhere(start: Start) -> None:
    recorder = start(anywhere(planned("t"), "a", "b"))
    host = FakeHost(FakeExecutor(), ONE, "a", unusable="it is off")
    moves = Moves()
    carry_out(recorder, host, FakeHost(FakeExecutor(), ONE, "b"), progress=moves)
    assert places(recorder) == [("t", "b", Verdict.PASS)]
    assert moves.seen == []


def test_a_host_of_the_plan_that_the_run_lacks_takes_nothing(start: Start) -> None:
    recorder = start(*(anywhere(planned(name), "a", "gone") for name in "xy"))
    carry_out(recorder, FakeHost(FakeExecutor(), ONE, "a"))
    assert {host for _, host, _ in places(recorder)} == {"a"}


def test_the_plan_keeps_where_else_cases_may_run(start: Start, tmp_path: Path) -> None:
    decision = anywhere(planned("t"), "a", "b", "c")
    recorder = start(decision, planned("u"))
    found = read_plan(RunDirectory.open(recorder.run.path))
    assert found == (decision, planned("u"))


def test_a_decision_on_another_host_says_why_there() -> None:
    decision = anywhere(replace(planned("t"), why="why on a"), "a", "b")
    moved = decision.on("b")
    assert (moved.host, moved.why) == ("b", "why on b")
    assert moved.on("a") == decision
    assert decision.on("a") is decision
    with pytest.raises(KeyError):
        decision.on("c")


def test_a_host_with_errors_in_a_row_gets_no_more_cases(start: Start) -> None:
    recorder = start(*(anywhere(planned(name), "a", "b") for name in "wxyz"))
    a, b = ends(Verdict.ERROR), FakeExecutor(seconds=lambda _name: 0.01)
    moves = Moves()
    hosts = FakeHost(a, ONE, "a"), FakeHost(b, ONE, "b")
    rules = QuarantineRules(errors=2, failures=9)
    session = Session(recorder, hosts, moves, {}, quarantine=rules)
    asyncio.run(session.run(list(recorder.record.decisions), Stop()))
    assert {host for _, host, _ in places(recorder)} == {"b"}
    assert len(a.order) == 2
    assert moves.lost == [("a", "quarantined: 2 errors in a row, the last one: ")]


def test_a_drained_host_ends_what_runs_there_and_gets_no_more(start: Start) -> None:
    recorder = start(*(anywhere(planned(name), "a", "b") for name in "wxyz"))
    a, b = FakeExecutor(), FakeExecutor()
    moves = Moves()
    hosts = FakeHost(a, ONE, "a"), FakeHost(b, ONE, "b")
    session = Session(recorder, hosts, moves, {}, drained=lambda: {"a": "drained", "c": "drained"})
    asyncio.run(session.run(list(recorder.record.decisions), Stop()))
    assert [verdict for *_, verdict in places(recorder)] == [Verdict.PASS] * 4
    assert len(a.order) == 1
    assert moves.lost == [("a", "drained")]


def test_the_reason_says_how_hosts_differ() -> None:
    ended = ((1, "a", Verdict.FAIL), (2, "b", Verdict.PASS), (3, "b", Verdict.PASS))
    attempts = [
        replace(make.attempt(verdict.value, number=number), host=host)
        for number, host, verdict in ended
    ]
    reason = record_of(planned("t", retries=2).case, attempts).reason
    assert reason.endswith("fails on a (0/1), passes elsewhere (2/2)")
