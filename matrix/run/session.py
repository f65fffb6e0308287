"""Carries a plan out: starts what the scheduler says, journals what ends, and stops when told to.

All decisions are :mod:`matrix.plan.schedule`'s; this is only the shell around them. An attempt's
slot is given to the next one as soon as its QEMU is gone; what came of it is put on disk while that
one's QEMU starts. While a vCPU of the host is idle, the next attempt's QEMU is started already, and
its guest kept stopped: it has not begun by that, and is none that was interrupted.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from matrix.attempt import Attempt
from matrix.errors import HostLostError
from matrix.hosts.case_inputs import CaseInputs
from matrix.hosts.interface import Console, HopDone, Host
from matrix.model import Case
from matrix.plan.decisions import Decision, Run
from matrix.plan.placing import hosts_of_attempt
from matrix.plan.prelaunch import can_prelaunch
from matrix.plan.schedule import Capacity, Forecast, Job
from matrix.plan.scheduler import Scheduler
from matrix.results.outcome import counts_as_failure
from matrix.results.recorder import Recorder
from matrix.run.dispatch import Dispatcher
from matrix.run.host_care import HostCare, HostRules
from matrix.run.open_hosts import OpenHosts
from matrix.run.progress import ConsoleTail, Progress, Running
from matrix.verdicts import Verdict

NOTHING: Mapping[str, str] = MappingProxyType({})
MOST_MOVES = 2
"""How often an attempt that trouble of its host ended is made on another one."""
HANGING = {Verdict.STALL, Verdict.TIMEOUT}
UNLIKELY = 0.5
"""Share of its timeout that is expected of a case that is not known to need it."""

STARTING = 0.004
"""Seconds after which a QEMU has surely been spawned, and surely does not greet yet: that takes 20
to 100 ms."""
GREETING = 0.012
"""Seconds in which it does not greet then."""
FIRST = 1.0
"""Seconds that nothing is done meanwhile before the first attempt has ended."""
IDLE = 0.05
"""Seconds from one step of what is done meanwhile to the next, while guests run."""


@dataclass(slots=True)
class Stop:
    """How the user ends a run: once to finish cleanly, twice to end at once."""

    requested: bool = False
    """Whether the run was asked to end."""
    on_request: Callable[[], None] = lambda: None

    def request(self) -> None:
        """Ask the run to end."""
        self.requested = True
        self.on_request()


@dataclass(slots=True)
class _Prepared:
    """An attempt whose QEMU is started, or has been."""

    job: Job
    folder: Path
    held: bool
    """It was started before its turn."""
    task: asyncio.Task[None] | None = None
    console: ConsoleTail = field(default_factory=ConsoleTail)
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its guest may run."""


class Session:
    """One execution of a plan."""

    def __init__(
        self,
        recorder: Recorder,
        hosts: Sequence[Host],
        progress: Progress,
        durations: Mapping[str, float],
        *,
        seed: int | None = None,
        most_failures: int | None = None,
        rules: HostRules | None = None,
        inputs: CaseInputs | None = None,
        not_reused: Mapping[str, str] = NOTHING,
        meanwhile: Iterable[object] = (),
    ) -> None:
        """``seed`` is that of hops, None for one that depends on case and attempt. After
        ``most_failures`` cases that did not pass no other is started; those that run end. By
        ``rules`` (None: never) hosts get no more cases. ``inputs`` says what cases follow from,
        ``not_reused`` why they are run (:class:`matrix.run.reuse.Reuse`). Steps of
        ``meanwhile`` are taken whenever a guest has been started and is not ready yet, and now and
        then; they must be short, and need not all be taken."""
        self._meanwhile = iter(meanwhile)
        self._recorder = recorder
        self._hosts = {host.name: host for host in hosts}
        self._dispatcher = Dispatcher(recorder.run, inputs=inputs, not_reused=not_reused)
        self._progress = progress
        self._durations = durations
        self._seed = seed
        self._most_failures = most_failures
        self._rules = rules
        self._failures = 0
        self._running: dict[tuple[int, int], Running] = {}
        self._prepared: dict[str, _Prepared] = {}
        """By host, the attempt that waits for its turn with its QEMU started."""
        self._ended: asyncio.Queue[tuple[Job, Attempt | None] | None] = asyncio.Queue()
        """None: something else has happened after which something may start."""
        self._interrupted: list[Case] = []
        self._decisions: list[Decision] = []
        self._scheduler = Scheduler([], {})
        self._care: HostCare | None = None
        self._tried: dict[tuple[int, int], list[str]] = {}
        """Where attempts were ended by trouble of their hosts."""
        self._asked: set[tuple[int, int]] = set()
        """Attempts that the scheduler has been given."""
        self._later: dict[int, int] = {}
        """How many more of a case are expected, by its index."""
        self._total = 0
        self._forecast = Forecast([])
        self._since = time.monotonic()
        self._any_ended = False

    async def run(self, decisions: list[Decision], stop: Stop) -> tuple[Case, ...]:
        """Run what is left of ``decisions``; gives the cases that an interrupt cut short.

        Raises HostError (in an ExceptionGroup of one) where the run cannot go on.
        """
        self._decisions = list(map(self._here, decisions))
        stop.on_request = self._cancel_all
        jobs = [job for index in range(len(decisions)) for job in self._startable(index)]
        needed = dict.fromkeys(name for job in jobs for name in (*self._places(job), *job.gang))
        self._scheduler = Scheduler(jobs, {name: self._capacity(name) for name in needed})
        self._since = time.monotonic()
        is_reused = self._recorder.record.is_reused
        self._progress.planned(
            [each for each in decisions if not is_reused(each.case.id)], self._total
        )
        async with OpenHosts() as open_hosts, AsyncExitStack() as stack:
            for name in needed:
                await self._open(name, open_hosts)
            care = self._care = HostCare(
                self._rules,
                needed,
                self._dispatcher,
                self._progress,
                self._scheduler,
                self._wake,
            )
            care.begin()
            stack.push_async_callback(care.end)
            self._work_idly()
            stack.callback(lambda: self._idle.cancel())
            async with asyncio.TaskGroup() as tasks:
                await self._carry_out(tasks, stop)
                for prepared in self._prepared.values():
                    if prepared.task is not None:
                        prepared.task.cancel()  # asked to stop before its turn came
        if self._interrupted:
            self._progress.interrupted(tuple(self._interrupted))
        return tuple(self._interrupted)

    def _here(self, decision: Decision) -> Decision:
        """The decision without the other hosts that this run does not have."""
        if not isinstance(decision, Run) or not (decision.elsewhere or decision.other_gangs):
            return decision
        return replace(
            decision,
            elsewhere=tuple(each for each in decision.elsewhere if each[0] in self._hosts),
            other_gangs=tuple(
                each for each in decision.other_gangs if self._hosts.keys() >= set(each)
            ),
        )

    def _places(self, job: Job) -> tuple[str, ...]:
        """The hosts that may run it: the one that it was planned for first."""
        decision = self._decisions[job.key[0]]
        assert isinstance(decision, Run)  # noqa: S101 - only these became jobs
        others = (name for hosts in decision.other_gangs for name in hosts)
        return (*decision.hosts, *(name for name, _ in decision.elsewhere), *others)

    def _capacity(self, name: str) -> Capacity:
        """Of a host; one that is not there gets its cases one by one, to say so of each."""
        host = self._hosts.get(name)
        return Capacity(1, 1) if host is None else host.capacity

    async def _open(self, name: str, open_hosts: OpenHosts) -> None:
        """Have a host ready; one that cannot be is as one that was lost."""
        host, dispatcher = self._hosts.get(name), self._dispatcher
        if host is None:
            dispatcher.lost[name] = "the run has no host of this name"
            return
        dispatcher.inventories[name] = host.inventory
        if getattr(host, "same_paths", False):
            dispatcher.same_paths.add(name)
        if getattr(host, "notes_inputs", False):
            dispatcher.noting.add(name)
        opening = host.open(self._recorder.run.path, dispatcher.contents)
        try:
            dispatcher.executors[name] = await open_hosts.open(opening)
        except HostLostError as error:
            dispatcher.lost[name] = str(error)

    async def _carry_out(self, tasks: asyncio.TaskGroup, stop: Stop) -> None:
        """Start and end attempts until there are none, or those are over that ran at a stop."""
        scheduler = self._scheduler
        try:
            while self._start(tasks, stop) or scheduler.running or self._waits(stop):
                ended = await self._ended.get()
                if ended is None:
                    continue
                self._any_ended = True
                scheduler.finished(ended[0])
                self._judge_host(*ended)
                if self._most_failures is not None:  # whether others start depends on it
                    self._end(*ended)
                    continue
                try:
                    if self._start(tasks, stop):
                        await asyncio.sleep(0)  # until their QEMUs are spawned
                finally:
                    self._end(*ended)
        except asyncio.CancelledError:
            while not self._ended.empty():
                if (ended := self._ended.get_nowait()) is not None:
                    self._end(*ended)
            raise

    def _wake(self) -> None:
        self._ended.put_nowait(None)

    def _cancel_all(self) -> None:
        self._dispatcher.cancel_all()
        self._wake()

    def _over(self, stop: Stop) -> bool:
        """Whether nothing more is started."""
        return stop.requested or self._recorder.record.gave_up

    def _waits(self, stop: Stop) -> bool:
        """Whether there are cases whose host is being proven."""
        return not self._over(stop) and self._scheduler.waits_for_held()

    def _start(self, tasks: asyncio.TaskGroup, stop: Stop) -> bool:
        """Start what there is room for, unless we are to stop; whether there was anything."""
        if self._over(stop):
            return False
        jobs = self._scheduler.start()
        for job in jobs:
            prepared, decision = self._prepared.get(job.host), self._run(job)
            if prepared is not None and prepared.job.key == job.key:
                del self._prepared[job.host]
                self._dispatcher.release(decision, job.key[1])
            else:
                prepared = self._prepare(tasks, job)
            self._recorder.begin(decision.case, job.key[1])
            running = Running(decision, job.key[1], time.monotonic(), prepared.console)
            self._running[job.key] = running
            self._progress.started(running)
            prepared.turn.set()
        for upcoming in self._scheduler.upcoming():
            if upcoming.host not in self._prepared and can_prelaunch(self._run(upcoming)):
                self._scheduler.keep(upcoming)
                self._prepared[upcoming.host] = self._prepare(tasks, upcoming, held=True)
        return bool(jobs)

    def _prepare(self, tasks: asyncio.TaskGroup, job: Job, *, held: bool = False) -> _Prepared:
        case, number = self._run(job).case, job.key[1]
        prepared = _Prepared(job, self._recorder.prepare(case, number), held)
        prepared.task = tasks.create_task(self._execute(prepared))
        return prepared

    def _run(self, job: Job) -> Run:
        decision = self._decisions[job.key[0]]
        assert isinstance(decision, Run)  # noqa: S101 - only these became jobs
        return decision.between(job.hosts) if job.gang else decision.on(job.host)

    def _startable(self, index: int) -> list[Job]:
        """The attempts of a case that can be started and were not yet, and are counted here.

        Without a known duration the timeout tells: what may be long starts first, and what is
        known to hang before what has as much time and will hardly need it. So do attempts that
        others have to wait for.
        """
        decision = self._decisions[index]
        if not isinstance(decision, Run):
            return []
        expected = self._recorder.expected(decision.case)
        keys = [(index, number) for number in expected.startable]
        keys = [key for key in keys if key not in self._asked]
        self._asked.update(keys)
        known = self._known(decision.case)
        more = len(keys) + expected.later - self._later.get(index, 0)
        self._later[index] = expected.later
        self._total += more
        self._forecast.expect(known, more)
        if known is None:
            hangs = any(HANGING & set(each.verdicts) for each in decision.expected)
            limit = decision.case.timeout if decision.limit is None else decision.limit
            known = limit * (1 if hangs else UNLIKELY)
        estimate = known * (1 + expected.later)
        return [self._job(decision, key, estimate) for key in keys]

    def _job(self, decision: Run, key: tuple[int, int], estimate: float) -> Job:
        case, number = decision.case, key[1]
        hosts, elsewhere = decision.hosts, tuple[str, ...]()
        if decision.elsewhere or decision.other_gangs:
            ended = self._recorder.record.attempts(case.id) if number > 1 else ()
            failed_on = [each.hosts for each in ended if not each.verdict.good]
            hosts, elsewhere = hosts_of_attempt(decision, number, failed_on)
        return Job(
            key,
            decision.vcpus,
            decision.memory,
            estimate,
            case.settings.alone,
            decision.huge_pages,
            hosts[0],
            elsewhere,
            hosts[1:],
        )

    def _count_failure(self, case: Case) -> None:
        """Give up where the case has its result, and is one too many that did not pass."""
        record = self._recorder.record
        verdict = record.verdict(case.id)
        if verdict is not None and counts_as_failure(verdict, strict=record.strict):
            self._failures += 1
            record.gave_up = self._failures == self._most_failures or record.gave_up

    def _known(self, case: Case) -> float | None:
        """Seconds that the case took last time."""
        return self._durations.get(case.id)

    async def _execute(self, prepared: _Prepared) -> None:
        job = prepared.job
        if getattr(self._hosts.get(job.host), "in_process", False):
            asyncio.get_running_loop().call_later(STARTING, self._work_ahead)
        attempt = await self._dispatcher.execute(
            self._run(job),
            job.key[1],
            prepared.folder,
            partial(self._happened, prepared),
            held=prepared.held,
            seed=self._seed,
        )
        await prepared.turn.wait()  # what QEMU refuses may be over before its turn
        self._ended.put_nowait((job, attempt))

    def _happened(self, prepared: _Prepared, event: Console | HopDone) -> None:
        match event:
            case Console(text):
                prepared.console.write(text)
            case HopDone(hop):
                self._progress.hopped(self._run(prepared.job).case.id, hop)

    def _work_ahead(self) -> None:
        """Take steps of what is to be done meanwhile, for as long as QEMU has nothing to say."""
        until = time.monotonic() + GREETING
        for _ in self._meanwhile:
            if time.monotonic() >= until:
                return

    def _work_idly(self) -> None:
        """Take a step in a while, and so on: an interrupt of a run with few and long cases would
        wait for all that is needed at its end to be loaded, half a second of CPU time."""
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(IDLE, self._take_step)

    def _take_step(self) -> None:
        # A step may take half a second, which the first result need not wait for.
        early = not self._any_ended and time.monotonic() < self._since + FIRST
        if early or next(self._meanwhile, self) is not self:
            self._work_idly()

    def _end(self, job: Job, attempt: Attempt | None) -> None:
        running = self._running.pop(job.key)
        if attempt is None:
            self._interrupted.append(running.decision.case)
            return
        if attempt.verdict is Verdict.ERROR and self._try_elsewhere(job):
            self._progress.moved(running, attempt)
            return
        self._recorder.finish(running.decision.case, attempt)
        self._count_failure(running.decision.case)
        total = self._total
        for follower in self._startable(job.key[0]):
            self._scheduler.add(follower)
        if self._total != total:
            self._progress.expected(self._total)
        self._forecast.finished(self._known(running.decision.case), attempt.seconds)
        left = self._forecast.left(time.monotonic() - self._since)
        self._progress.finished(running, attempt, left)

    def _judge_host(self, job: Job, attempt: Attempt | None) -> None:
        """Give no more cases to lost and drained hosts, and to those that it quarantines."""
        assert self._care is not None  # noqa: S101 - hosts are open
        case = self._run(job).case
        anywhere = case.scenario, case.test.name, replace(case.variant, host=None)
        self._care.judge(anywhere, case.id, job.hosts, attempt)

    def _try_elsewhere(self, job: Job) -> bool:
        """Have an attempt that trouble of its host ended made again on another one, if any."""
        tried = self._tried.setdefault(job.key, [])
        tried.append(" ".join(job.hosts))
        if job.gang:
            return len(tried) <= MOST_MOVES and self._try_between_others(job, tried)
        untried = self._hosts.keys() - self._dispatcher.without.keys() - set(tried)
        left = [name for name in self._places(job) if name in untried]
        if not left or len(tried) > MOST_MOVES:
            return False
        self._scheduler.add(replace(job, host=left[0], elsewhere=tuple(left[1:])))
        return True

    def _try_between_others(self, job: Job, tried: Collection[str]) -> bool:
        """The same for one that takes several hosts, of which one is in trouble."""
        decision = self._decisions[job.key[0]]
        assert isinstance(decision, Run)  # noqa: S101 - only these became jobs
        without = self._dispatcher.without.keys()
        # Which host it was is known only where that is lost: those that share least come first.
        gangs = [hosts for hosts in decision.other_gangs if without.isdisjoint(hosts)]
        gangs = [hosts for hosts in gangs if " ".join(hosts) not in tried]
        if not gangs:
            return False
        host, *gang = min(gangs, key=lambda hosts: len({*hosts} & {*job.hosts}))
        self._scheduler.add(replace(job, host=host, gang=tuple(gang)))
        return True
