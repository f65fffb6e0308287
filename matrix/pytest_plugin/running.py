"""A guest that a test holds in its hands: started, listened to, migrated, judged.

All of it runs in the event loop; :mod:`matrix.pytest_plugin.guest` is the synchronous side.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matrix.attempt import Attempt, ChainResult, Ending, Outcome
from matrix.errors import HostError, MonitorError
from matrix.hosts.local.launch import make_launch
from matrix.hosts.local.migrating import emulator_of
from matrix.hosts.local.starting import Starting
from matrix.inventory import Inventory
from matrix.migrating import Hop, Migration
from matrix.migrating import Limits as HopLimits
from matrix.migration.endpoint import Emulator, Endpoint
from matrix.migration.migrated import extended, migrated_outcome, watch_there
from matrix.migration.processes import NotStartedError, Processes
from matrix.migration.statistics import Statistics
from matrix.model import Launch
from matrix.plan.command import time_limit
from matrix.plan.decisions import Run
from matrix.pytest_plugin.transcript import Lines, Wanted
from matrix.results.command import command_script
from matrix.results.directory import COMMAND_FILE
from matrix.results.files import host_errors
from matrix.verdict.deciding import Evidence, decide_attempt
from matrix.vm.machine import Limits, end_session, words
from matrix.vm.session import Conclusion
from matrix.vm.tasks import first_of, put_off_cancellation


@dataclass(frozen=True, slots=True)
class Planned:
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


class RunningGuest:
    """One guest from its start to its verdict. :meth:`start` is called once."""

    def __init__(self, planned: Planned) -> None:
        self.planned = planned
        self.lines = Lines()
        case = planned.decision.case
        self._limits = Limits(timeout=time_limit(case), stall=case.settings.stall)
        self.processes = Processes(
            planned.directory, self._limits.log_bytes, self._limits.start, self._heard
        )
        self.board = self.processes.board
        self.attempt: Attempt | None = None
        """Once the guest is over: what it came to."""
        self.outcome: Outcome | None = None
        self.hops: list[Hop] = []
        self.moving = asyncio.Lock()
        """Held while the guest is migrated."""
        self.lost = ""
        """Why nobody runs it any more, where a hop lost it."""
        self._current: Endpoint | None = None
        self._destinations: dict[str, None] = {}
        """Names of the QEMUs that it was migrated to."""
        self._moved = asyncio.Event()
        self._stopped = asyncio.Event()
        self._booted = False
        self._begun = time.monotonic()
        """When it was let run."""
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
        await self.board.until(lambda: self._booted or self.over, None)

    @property
    def over(self) -> bool:
        """Whether the guest has ended, and was judged."""
        return self.attempt is not None

    @property
    def current(self) -> Endpoint:
        """The process that runs the guest, or did last.

        Raises:
            MonitorError: there is none.
        """
        if self._current is None:
            raise MonitorError("connect", "QEMU was not started")
        return self._current

    def move(self, endpoint: Endpoint) -> None:
        """The guest is in that process now."""
        self._current = endpoint
        self._destinations.setdefault(endpoint.emulator.name)
        self._moved.set()

    async def wait_for(self, wanted: Wanted, seconds: float) -> str | None:
        """The next line with what is wanted; None where the time or the guest is over before."""
        found: list[str] = []

        def has_come() -> bool:
            line = self.lines.find(wanted)
            if line is not None:
                found.append(line)
            return line is not None or self.over

        await self.board.until(has_come, seconds)
        return found[0] if found else None

    async def ended_within(self, seconds: float) -> bool:
        """Whether the guest is over in that time."""
        return await self.board.until(lambda: self.over, seconds)

    @property
    def time_limit(self) -> float:
        """Seconds that the guest may take, with the hops that it has made."""
        return extended(self._limits.timeout, sum(hop.seconds for hop in self.hops))

    @property
    def was_stopped(self) -> bool:
        """Whether it ended because the test said so."""
        return self.outcome is not None and self.outcome.ending is Ending.INTERRUPTED

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
        return await self.current.execute(command, arguments, seconds=seconds)

    async def type(self, data: bytes) -> None:
        """Type on its console.

        Raises:
            MonitorError: QEMU was not started.
        """
        self.current.session.type(data)

    async def stop(self) -> None:
        """End the guest if it runs; everything of it is gone afterwards."""
        self._stopped.set()
        if self._life is not None:
            await put_off_cancellation(asyncio.wait((self._life,)))

    async def _live(self, emulator: Emulator) -> None:
        conclusion = Conclusion(Ending.ERROR, "it was not started")
        doing = ""
        try:
            async with self.processes:
                conclusion = await self._conclude(emulator)
                if self._current is not None:
                    doing = await end_session(self._current.session, conclusion)
        except (OSError, HostError) as error:
            conclusion = Conclusion(Ending.ERROR, words(error))
        finally:
            await self._judge(emulator.launch, conclusion, doing)

    async def _conclude(self, emulator: Emulator) -> Conclusion:
        async def stopped() -> Conclusion:
            await self._stopped.wait()
            return Conclusion(Ending.INTERRUPTED, "the test ended it")

        async def late() -> Conclusion:
            await self.board.until(lambda: self._booted, None)
            while True:
                left = self._begun + self.time_limit - time.monotonic()
                if left <= 0:
                    return Conclusion(Ending.TIMEOUT, f"no end within {self._limits.timeout:g} s")
                await asyncio.sleep(left)

        never: asyncio.Future[Conclusion] = asyncio.get_running_loop().create_future()
        return await first_of(never, self._drive(emulator), stopped(), late())

    async def _drive(self, emulator: Emulator) -> Conclusion:
        """Start the guest, and watch whichever process runs it."""
        try:
            self._current = await self.processes.start(emulator, incoming=False)
            self._begun = time.monotonic()
            await self.processes.boot(self._current)
        except NotStartedError as error:
            return error.conclusion
        self._booted = True
        self.board.changed()
        while True:
            self._moved.clear()
            conclusion = await self._watched(self.current)
            if conclusion is not None:
                return conclusion

    async def _watched(self, endpoint: Endpoint) -> Conclusion | None:
        """How the guest ends in that process; None once it is in another."""

        async def over() -> Conclusion | None:
            return await asyncio.shield(endpoint.session.ended)

        never: asyncio.Future[Conclusion | None] = asyncio.get_running_loop().create_future()
        watched = watch_there(endpoint.session, self._limits.stall, self._moved)
        found = await first_of(never, over(), watched)
        if self.moving.locked() and found is not None:
            # Whose end it was, that of the guest or that of its last process, the hop will say.
            async with self.moving:
                pass
            if self.lost:
                return Conclusion(Ending.KILLED, self.lost)
            if self._moved.is_set():
                return None
        return found

    async def _judge(self, launch: Launch, conclusion: Conclusion, doing: str) -> None:
        session = None if self._current is None else self._current.session
        seconds = time.monotonic() - self._begun
        outcome = migrated_outcome(session, conclusion, doing, seconds, len(self.hops))
        self.outcome = outcome
        planned, decision = self.planned, self.planned.decision
        if self.hops:  # its QEMUs are those of a case that is migrated
            migration = Migration(destinations=tuple(self._destinations))
            decision = replace(decision, case=replace(decision.case, migration=migration))
        evidence = Evidence(
            decision=decision,
            launch=launch,
            outcome=outcome,
            transcript=self.lines.finish(),
            hops=self._hops(outcome),
            inventory=planned.inventory,
            directory=planned.directory,
            starts_nothing=Starting(planned.inventory).why_never,
        )
        self.attempt = await decide_attempt(evidence, command=str(planned.directory / COMMAND_FILE))
        self.board.changed()

    def _hops(self, outcome: Outcome) -> ChainResult | None:
        """What its hops came to. The test was told of bad ones; only a lost guest fails of one."""
        if not self.hops:
            return None
        statistics = Statistics(HopLimits())
        for hop in self.hops:
            statistics.add(hop)
        bad = (f"hop {hop.number}: {hop.reason}",) if self.lost else ()
        return ChainResult(outcome, statistics.summary(0, outcome.seconds), self.lost, bad=bad)

    def _heard(self, data: bytes, _at: float) -> None:
        self.lines.feed(data)
        self.board.changed()
