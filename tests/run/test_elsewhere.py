"""Cases that may run on several hosts: retries, lost hosts and trouble of one go to another."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from matrix.attempt import Attempt
from matrix.errors import HostError, HostLostError, LossCause
from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.plan.decisions import Run
from matrix.plan.health import QuarantineRules
from matrix.plan.schedule import Capacity
from matrix.results.case_record import record_of
from matrix.results.directory import RunDirectory
from matrix.results.plan_file import read_plan
from matrix.results.recorder import Recorder
from matrix.run.host_care import HostRules
from matrix.run.progress import NullProgress, Running
from matrix.run.session import MOST_MOVES, Session, Stop
from matrix.verdicts import Verdict
from tests import make
from tests.run.conftest import FakeExecutor, FakeHost, FakeLender, planned

ONE = Capacity(vcpus=1, memory=2**30)
Start = Callable[..., Recorder]


@dataclass
class Moves(NullProgress):
    """A watcher that keeps what was moved."""

    seen: list[tuple[str, str]] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)
    back: list[str] = field(default_factory=list)

    def moved(self, running: Running, attempt: Attempt) -> None:
        self.seen.append((running.decision.case.test.name, attempt.host))

    def host_lost(self, host: str, why: str) -> None:
        self.lost.append((host, why))

    def host_back(self, host: str) -> None:
        self.back.append(host)


@dataclass
class Kept:
    """What is to outlive a run, and how long ago hosts were proven before."""

    age: dict[str, float] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def quarantined(self, host: str, why: str) -> None:
        self.said.append(f"{host}: {why}")

    def proven(self, host: str) -> None:
        self.said.append(f"{host} is well")

    def ages(self) -> dict[str, float]:
        return self.age


@dataclass
class Provable(FakeExecutor):
    """One whose host finds ``wrong`` when it has to prove itself, for the first time and so on."""

    wrong: list[str] = field(default_factory=list)
    may_prove: asyncio.Event = field(default_factory=asyncio.Event)
    proofs: int = 0

    async def prove(self) -> str:
        self.proofs += 1
        await self.may_prove.wait()
        if (wrong := self.wrong.pop(0) if self.wrong else "") == "it is off":
            raise HostLostError(wrong)
        return wrong


TWO_ERRORS = QuarantineRules(errors=2, failures=9)


def care_for(
    recorder: Recorder,
    hosts: Iterable[FakeHost],
    moves: Moves,
    *,
    kept: Kept | None = None,
    drained: Callable[[], dict[str, str]] = dict,
    quarantine: QuarantineRules = TWO_ERRORS,
    stop: Stop | None = None,
) -> None:
    rules = HostRules(quarantine, drained, kept or Kept())
    session = Session(recorder, [*hosts], moves, {}, rules=rules)
    asyncio.run(session.run(list(recorder.record.decisions), stop or Stop()))


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
    care_for(recorder, hosts, moves)
    assert {host for _, host, _ in places(recorder)} == {"b"}
    assert len(a.order) == 2
    assert moves.lost == [("a", "quarantined: 2 errors in a row, the last one: ")]


@dataclass
class Failing(FakeExecutor):
    """One whose host is lost for that cause."""

    cause: LossCause = LossCause.GONE

    async def execute(self, assignment: Assignment, emit: Callable[..., None]) -> Ended:
        del assignment, emit
        raise HostLostError("its words", self.cause)


@pytest.mark.parametrize(
    ("cause", "said"), [(LossCause.GONE, []), (LossCause.DISK_FULL, ["a: its words"])]
)
@pytest.mark.parametrize("others", ["b", ""])
def test_a_lost_host_is_quarantined_for_the_next_run_where_its_disk_is_full(
    start: Start, cause: LossCause, said: list[str], others: str
) -> None:
    recorder = start(*(anywhere(planned(name), "a", *others) for name in "xyz"))
    kept, moves = Kept(), Moves()
    hosts = [FakeHost(Failing(cause=cause), ONE, "a")]
    hosts += [FakeHost(FakeExecutor(), ONE, name) for name in others]
    care_for(recorder, hosts, moves, kept=kept)
    assert kept.said == said
    assert moves.lost == [("a", "its words")]
    assert {host for _, host, _ in places(recorder)} == {others or "a"}


def erring(*names: str) -> Callable[[str, int], Verdict]:
    return lambda name, _attempt: Verdict.ERROR if name in names else Verdict.PASS


def found(recorder: Recorder) -> dict[str, tuple[Verdict, str]]:
    return {
        decision.case.test.name: (attempt.verdict, attempt.reason)
        for decision in recorder.record.decisions
        for attempt in recorder.record.attempts(decision.case.id)
    }


@dataclass
class ProvenAfter(Moves):
    """One that lets a host prove itself when all that may run elsewhere has ended."""

    host: Provable | None = None
    count: int = 0

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:
        del running, attempt, left
        self.count -= 1
        if not self.count and self.host is not None:
            self.host.may_prove.set()


def test_what_only_a_quarantined_host_can_run_waits_for_its_proof(start: Start) -> None:
    recorder = start(
        *(anywhere(planned(name, timeout=90.0), "a") for name in "wx"),
        *(anywhere(planned(name), "a") for name in "yz"),
        anywhere(planned("v"), "b"),
    )
    a, kept = Provable(erring("w", "x"), wrong=[""]), Kept()
    moves = ProvenAfter(host=a, count=3)
    care_for(
        recorder, [FakeHost(a, ONE, "a"), FakeHost(FakeExecutor(), ONE, "b")], moves, kept=kept
    )
    assert [found(recorder)[name][0] for name in "wxyz"] == [Verdict.ERROR] * 2 + [Verdict.PASS] * 2
    assert a.proofs == 1
    assert ([host for host, _ in moves.lost], moves.back) == (["a"], ["a"])
    assert kept.said == ["a: 2 errors in a row, the last one: ", "a is well"]


@pytest.mark.parametrize("wrong", ["the boot guest fails", "it is off"])
def test_it_is_an_error_where_the_proof_fails(start: Start, wrong: str) -> None:
    recorder = start(
        *(anywhere(planned(name), "a") for name in "wxyz"), anywhere(planned("v"), "b")
    )
    a, moves = Provable(erring(*"wxyz"), wrong=[wrong]), Moves()
    a.may_prove.set()
    care_for(recorder, [FakeHost(a, ONE, "a"), FakeHost(FakeExecutor(), ONE, "b")], moves)
    assert len(a.order) == 2
    reasons = {reason for verdict, reason in found(recorder).values() if verdict is Verdict.ERROR}
    assert reasons == {
        "",
        "host a gets no cases: quarantined: 2 errors in a row, the last one: ; its proof failed: "
        + wrong,
    }
    assert moves.back == []


def test_a_host_is_trusted_again_at_once_only_the_first_time(start: Start) -> None:
    recorder = start(
        *(anywhere(planned(f"t{i}"), "a") for i in range(6)), anywhere(planned("v"), "b")
    )
    a, moves = Provable(lambda *_: Verdict.ERROR, wrong=[""]), Moves()
    a.may_prove.set()
    care_for(recorder, [FakeHost(a, ONE, "a"), FakeHost(FakeExecutor(), ONE, "b")], moves)
    assert (len(a.order), a.proofs, moves.back) == (4, 1, ["a"])
    assert [host for host, _ in moves.lost] == ["a", "a"]


def test_a_run_that_is_ended_does_not_wait_for_proofs(start: Start) -> None:
    recorder = start(
        *(anywhere(planned(name), "a") for name in "wxyz"), anywhere(planned("v"), "b")
    )
    a, stop = Provable(erring(*"wxyz"), wrong=[""]), Stop()

    @dataclass
    class Ending(Moves):
        def host_lost(self, host: str, why: str) -> None:
            super().host_lost(host, why)
            asyncio.get_running_loop().call_soon(stop.request)

    hosts = [FakeHost(a, ONE, "a"), FakeHost(FakeExecutor(), ONE, "b")]
    care_for(recorder, hosts, Ending(), stop=stop)
    assert len(recorder.record.unfinished()) >= 2


def test_hosts_are_proven_again_and_again(start: Start) -> None:
    recorder = start(*(anywhere(planned(name), name[0]) for name in ("a", "b", "a2")))
    a = Provable(wrong=["the smp guest fails", ""])
    a.may_prove.set()
    again = asyncio.Event()

    @dataclass
    class Holding(Moves):
        def host_back(self, host: str) -> None:
            super().host_back(host)
            again.set()

    class Waiting(FakeExecutor):
        async def execute(
            self, assignment: Assignment, emit: Callable[[Console | HopDone], None]
        ) -> Ended:
            await again.wait()
            return await super().execute(assignment, emit)

    moves, kept = Holding(), Kept({"a": 100.0})
    every = replace(TWO_ERRORS, prove_every=0.0)
    hosts = [FakeHost(a, ONE, "a"), FakeHost(Waiting(), ONE, "b")]
    care_for(recorder, hosts, moves, kept=kept, quarantine=every)
    assert moves.lost[0] == ("a", "quarantined: its proof failed: the smp guest fails")
    assert moves.back == ["a"]


def test_a_drained_host_ends_what_runs_there_and_gets_no_more(start: Start) -> None:
    recorder = start(*(anywhere(planned(name), "a", "b") for name in "wxyz"))
    a, b = FakeExecutor(), FakeExecutor()
    moves = Moves()
    hosts = FakeHost(a, ONE, "a"), FakeHost(b, ONE, "b")
    care_for(recorder, hosts, moves, drained=lambda: {"a": "drained", "c": "drained"})
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


def test_trouble_of_a_host_takes_a_guest_between_two_others(start: Start) -> None:
    """One that is lost is not used again; which of two others is in trouble nobody knows."""
    decision = planned("far")
    case = replace(decision.case, suite="kvm-unit-tests")
    decision = replace(
        decision,
        case=case,
        host="a",
        gang=("b",),
        other_gangs=(("b", "a"), ("a", "c"), ("c", "a"), ("c", "b")),
    )
    recorder = start(decision)
    moves = Moves()
    executors = {
        "a": FakeLender(),
        "b": FakeLender(trouble=HostLostError("it is gone"), lost="it is gone"),
        "c": FakeLender(trouble=HostError("host c: no disk")),
    }
    hosts = [FakeHost(each, ONE, name) for name, each in executors.items()]
    carry_out(recorder, *hosts, progress=moves)
    (attempt,) = recorder.record.attempts(case.id)
    assert (attempt.verdict, attempt.reason) == (Verdict.ERROR, "host c: no disk")
    assert moves.seen == [("far", "a"), ("far", "a")]
    assert attempt.host == "c"
    assert moves.lost == [("b", "it is gone")]
