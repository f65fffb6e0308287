"""A guest that a test holds in its hands: started, listened to, migrated, judged.

All of it runs in the event loop; :mod:`matrix.pytest_plugin.guest` is the synchronous side.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matrix.attempt import Attempt, ChainResult, Ending, Outcome
from matrix.errors import HostError, MonitorError
from matrix.hosts.local.launch import make_launch
from matrix.hosts.local.migrated_case import emulator_of
from matrix.hosts.local.starting import Starting
from matrix.inventory import Inventory
from matrix.migrating import Hop, HopOutcome, Migration
from matrix.migrating import Limits as HopLimits
from matrix.migration.endpoint import Emulator
from matrix.migration.hop_maker import HopMaker, PlannedHop
from matrix.migration.live_hop import HopEnd
from matrix.migration.processes import NotStartedError, Processes
from matrix.migration.proof import Proof
from matrix.migration.statistics import Statistics
from matrix.model import Launch
from matrix.plan.command import time_limit
from matrix.plan.decisions import Run
from matrix.pytest_plugin.moving import Way
from matrix.pytest_plugin.transcript import Lines, Wanted
from matrix.results.command_script import command_script
from matrix.results.directory import COMMAND_FILE
from matrix.results.files import host_errors
from matrix.verdict.deciding import Evidence, decide_attempt
from matrix.vm.machine import Guest, Limits
from matrix.vm.qemu_session import Conclusion, Session
from matrix.vm.tasks import put_off_cancellation


@dataclass(frozen=True, slots=True)
class PlannedGuest:
    """A guest that can be started, and the host that it is started on."""

    decision: Run
    inventory: Inventory
    directory: Path
    """Exists; private to this guest."""

    async def emulator(self) -> Emulator:
        """What is started: the QEMU of the plan with its command line.

        Raises:
            SuiteError, HostError: it cannot be worked out any more.
        """
        launch = await make_launch(self.decision, self.inventory, self.directory)
        return emulator_of(self.decision, launch, self.inventory)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A hop that the test waits for."""

    emulator: Emulator
    way: Way
    made: asyncio.Future[Hop]


class RunningGuest:
    """One guest from its start to its verdict. :meth:`start` is called once."""

    def __init__(self, planned: PlannedGuest) -> None:
        self.planned = planned
        self.lines = Lines()
        case = planned.decision.case
        limits = Limits(timeout=time_limit(case), stall=case.settings.stall)
        self.guest = Guest(planned.directory, limits, self._heard, migrates=True)
        self.attempt: Attempt | None = None
        """Once the guest is over: what it came to."""
        self.outcome: Outcome | None = None
        self.hops: list[Hop] = []
        self._processes = Processes(self.guest)
        self._maker: HopMaker | None = None
        self._visited: dict[str, None] = {}
        """Names of the QEMUs that it was migrated to."""
        self._wanted: deque[_Wanted] = deque()
        self._ending = False
        """No hop is made any more."""
        self._stopped = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start QEMU and let the guest run; returns once it does, or is over.

        Raises:
            SuiteError, HostError: it cannot be started.
        """
        emulator = await self.planned.emulator()
        path = self.planned.directory / COMMAND_FILE
        script = command_script(emulator.launch, self.planned.decision.case.id)
        with host_errors("write", path):
            path.write_bytes(script)
            path.chmod(0o700)
        self._life = asyncio.create_task(self._live(emulator))
        await self.guest.board.until(lambda: self._maker is not None or self.over, None)

    @property
    def over(self) -> bool:
        """Whether the guest has ended, and was judged."""
        return self.attempt is not None

    @property
    def was_stopped(self) -> bool:
        """Whether it ended because the test said so."""
        return self.outcome is not None and self.outcome.ending is Ending.INTERRUPTED

    @property
    def emulator(self) -> Emulator:
        """The QEMU that runs it, or did last.

        Raises:
            MonitorError: its guest was never let run.
        """
        if self._maker is None:
            raise _over()
        return self._maker.current.emulator

    async def wait_for(self, wanted: Wanted, seconds: float) -> str | None:
        """The next line with what is wanted; None where the time or the guest is over before."""
        found: list[str] = []

        def has_come() -> bool:
            line = self.lines.find(wanted)
            if line is not None:
                found.append(line)
            return line is not None or self.over

        await self.guest.board.until(has_come, seconds)
        return found[0] if found else None

    async def ended_within(self, seconds: float) -> bool:
        """Whether the guest is over in that time."""
        return await self.guest.board.until(lambda: self.over, seconds)

    async def printed(self) -> tuple[str, ...]:
        """The lines of its console until now."""
        return self.lines.lines

    async def execute(
        self, command: str, arguments: Mapping[str, object] | None, seconds: float
    ) -> Any:
        """Execute a QMP command.

        Raises:
            MonitorError: refused, no answer in time, or QEMU has ended.
        """
        monitor = self._session.monitor
        if monitor is None:
            raise MonitorError(command, "QEMU has no monitor")
        return await monitor.execute(command, arguments, seconds)

    async def type(self, data: bytes) -> None:
        """Type on its console.

        Raises:
            MonitorError: QEMU was not started.
        """
        self._session.type(data)

    async def migrate(self, emulator: Emulator, way: Way) -> Hop:
        """Carry the guest over to a new QEMU process, and say how that went.

        A hop that fails leaves the guest where it was; one that loses it ends the guest.

        Raises:
            HostError: the new process does not start.
            MonitorError: the guest is over.
        """
        if self._ending or self._maker is None or self._maker.over:
            raise _over()
        wanted = _Wanted(emulator, way, asyncio.get_running_loop().create_future())
        self._wanted.append(wanted)
        self.guest.board.changed()
        return await wanted.made

    async def stop(self) -> None:
        """End the guest if it runs; everything of it is gone afterwards."""
        self._stopped.set()
        if self._life is not None:
            await put_off_cancellation(asyncio.wait((self._life,)))

    @property
    def _session(self) -> Session:
        if self.guest.current is None:
            raise MonitorError("connect", "QEMU was not started")
        return self.guest.current

    async def _live(self, emulator: Emulator) -> None:
        async def drive() -> Conclusion:
            try:
                return await self._drive(emulator)
            finally:
                self._ending = True
                while self._wanted:  # the test need not wait for them any more
                    _refuse(self._wanted.popleft(), _over())

        outcome = Outcome(Ending.ERROR, 0.0, reason="it was not started")
        try:
            outcome = await self.guest.run(drive, self._stopped)
        finally:
            await self._judge(emulator.launch, outcome)

    async def _drive(self, emulator: Emulator) -> Conclusion:
        """Let the guest run, and migrate it whenever the test wants that, until it ends."""
        try:
            first = await self._processes.start(emulator, incoming=False)
            await self._processes.boot(first)
        except NotStartedError as error:
            return error.conclusion
        maker = self._maker = HopMaker(self._processes, first, Proof(), self._hopped)
        self.guest.board.changed()
        while True:
            await self.guest.board.until(lambda: bool(self._wanted) or maker.over, None)
            if maker.lost is not None:
                return Conclusion(Ending.KILLED, maker.lost[0])
            if maker.over:
                return await maker.current.session.over()
            await self._hop(maker, self._wanted[0])
            self._wanted.popleft()

    async def _hop(self, maker: HopMaker, wanted: _Wanted) -> None:
        try:
            destination = await self._processes.start(wanted.emulator, incoming=True)
        except HostError as error:
            _refuse(wanted, error)
            return
        number, way = len(self.hops) + 1, wanted.way
        planned = PlannedHop(number, way.route, destination, parameters=way.parameters)
        self.guest.hops += 1
        try:
            await maker.make(replace(planned, seconds=way.seconds))
        except HostError as error:
            _refuse(wanted, error)
            raise

    def _hopped(self, hop: Hop, end: HopEnd) -> None:
        self.hops.append(hop)
        if end.outcome is HopOutcome.COMPLETED:
            self._visited.setdefault(self.emulator.name)
        if not (made := self._wanted[0].made).done():
            made.set_result(hop)

    async def _judge(self, launch: Launch, outcome: Outcome) -> None:
        self.outcome = outcome
        planned, decision = self.planned, self.planned.decision
        if self.hops:  # its QEMUs are those of a case that is migrated
            migration = Migration(destinations=tuple(self._visited))
            decision = replace(decision, case=replace(decision.case, migration=migration))
        evidence = Evidence(
            decision=decision,
            launch=launch,
            outcome=outcome,
            transcript=self.lines.finish(),
            hops=self._result(outcome),
            inventory=planned.inventory,
            directory=planned.directory,
            starts_nothing=Starting(planned.inventory).why_never,
        )
        self.attempt = await decide_attempt(evidence, command=str(planned.directory / COMMAND_FILE))
        self.guest.board.changed()

    def _result(self, outcome: Outcome) -> ChainResult | None:
        """What its hops came to. The test was told of bad ones; only a lost guest fails of one."""
        if not self.hops:
            return None
        statistics = Statistics(HopLimits())
        for hop in self.hops:
            statistics.add(hop)
        lost = "" if self._maker is None or self._maker.lost is None else self._maker.lost[0]
        bad = (f"hop {self.hops[-1].number}: {self.hops[-1].reason}",) if lost else ()
        return ChainResult(outcome, statistics.summary(0, outcome.seconds), lost, bad=bad)

    def _heard(self, data: bytes) -> None:
        self.lines.feed(data)
        self.guest.board.changed()


def _over() -> MonitorError:
    return MonitorError("migrate", "the guest is over")


def _refuse(wanted: _Wanted, error: Exception) -> None:
    if not wanted.made.done():
        wanted.made.set_exception(error)
