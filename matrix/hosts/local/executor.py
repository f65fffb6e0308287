"""This machine as a host, and how it runs an attempt of a case."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from matrix.attempt import Attempt, ChainResult, Ending, Outcome
from matrix.errors import SuiteError
from matrix.hosts.contents import Contents, with_paths
from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.hosts.local.disk_backend import DiskServer, disk_backend
from matrix.hosts.local.launch import UnstartableError, make_launch
from matrix.hosts.local.starting import Starting
from matrix.inventory import Inventory
from matrix.migrating import Hop
from matrix.model import Accelerator, Architecture, Launch, OnStall
from matrix.plan.command import stall_limit, time_limit
from matrix.plan.decisions import LOCAL, Run
from matrix.plan.schedule import Capacity
from matrix.results.directory import COMMAND_FILE, RunDirectory
from matrix.suites.registry import suite_of
from matrix.suites.suite import Parser
from matrix.verdicts import Verdict
from matrix.vm.machine import Limits, run_guest

if TYPE_CHECKING:
    from matrix.migration.endpoint import Emulator

Emit = Callable[[Console | HopDone], None]


@dataclass(frozen=True, slots=True)
class LocalHost:
    """This machine. Files of cases are where they are."""

    inventory: Inventory
    capacity: Capacity
    name: str = LOCAL
    same_paths: ClassVar[bool] = True
    in_process: ClassVar[bool] = True
    """See :class:`matrix.hosts.interface.Host`."""

    @asynccontextmanager
    async def open(self, run: Path, contents: Contents) -> AsyncIterator["LocalExecutor"]:
        """See :class:`matrix.hosts.interface.Host`."""
        yield LocalExecutor(self.inventory, RunDirectory(run), contents)


@dataclass(slots=True)
class Underway:
    """An attempt while it runs."""

    emit: Emit
    parser: Parser
    turn: asyncio.Event | None
    """Of a held one: set when its guest may run."""
    interrupt: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: its guest is to end, for it was cancelled or nobody serves its disk any more."""
    disk: DiskServer | None = None
    """Serves its disk, of one that is served."""

    def printed(self, data: bytes) -> None:
        """Its guest has printed."""
        self.parser.feed(data)
        self.emit(Console(data.decode("latin-1")))

    def hopped(self, hop: Hop) -> None:
        """Its guest was migrated, or should have been."""
        self.emit(HopDone(hop))

    async def released(self) -> None:
        """Wait for its turn, or until it is to end."""
        if self.turn is not None:
            waits = [asyncio.create_task(each.wait()) for each in (self.turn, self.interrupt)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for each in waits:
                each.cancel()


class LocalExecutor:
    """Runs cases on this machine."""

    def __init__(self, inventory: Inventory, run: RunDirectory, contents: Contents) -> None:
        """Runs cases of ``run`` with what ``inventory`` says of this machine."""
        self._inventory = inventory
        self._run = run
        self._contents = contents
        self._starting = Starting(inventory)
        self._underway: dict[str, Underway] = {}

    def release(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        underway = self._underway.get(token)
        if underway is not None and underway.turn is not None:
            underway.turn.set()

    def cancel(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        if token in self._underway:
            self._underway[token].interrupt.set()

    async def execute(self, assignment: Assignment, emit: Emit) -> Ended:
        """See :class:`matrix.hosts.interface.Executor`."""
        parser = suite_of(assignment.decision.case.suite).parser()
        turn = asyncio.Event() if assignment.held else None
        underway = Underway(emit, parser, turn)
        self._underway[assignment.token] = underway
        try:
            return Ended(await self._attempt(assignment, underway))
        except (SuiteError, UnstartableError) as error:
            return Ended(not_started(assignment, str(error)))
        finally:
            del self._underway[assignment.token]

    async def outfit(
        self, assignment: Assignment, qemus: tuple[str, ...]
    ) -> "tuple[Emulator, ...]":
        """See :class:`matrix.hosts.fleet.tenancy.Outfitter`."""
        from matrix.hosts.local.migrated_case import outfit  # as below

        decision = with_paths(assignment.decision, self._contents.path)
        return await outfit(decision, qemus, self._inventory, self._run.path / assignment.folder)

    async def _attempt(self, assignment: Assignment, underway: Underway) -> Attempt | None:
        """What the attempt came to; None where it was cancelled.

        Raises:
            SuiteError, UnstartableError: this machine cannot start the case any more.
        """
        directory = self._run.path / assignment.folder
        decision = assignment.decision
        if assignment.files:
            decision = with_paths(decision, self._contents.path)
        async with disk_backend(decision.case, directory) as disk:
            if disk is not None:
                underway.disk = disk
                disk.on_end(underway.interrupt.set)  # no guest waits for a disk that is gone
            launch = await make_launch(decision, self._inventory, directory)
            guest = self._run_guest(assignment, decision, launch, directory, underway)
            return await self._judged(assignment, decision, launch, guest, underway)

    async def _judged(
        self,
        assignment: Assignment,
        decision: Run,
        launch: Launch,
        guest: Awaitable[tuple[Outcome, ChainResult | None]],
        underway: Underway,
    ) -> Attempt | None:
        """Run a guest, and decide what that came to.

        Args:
            assignment: the attempt.
            decision: with paths of this machine.
            launch: the guest's first command line, for ``command.sh``.
            guest: runs it; raises as :meth:`_attempt`.
            underway: the same attempt.
        """
        directory = self._run.path / assignment.folder
        # A file takes a moment to create: it is, as soon as this coroutine waits for its QEMU.
        writing = asyncio.create_task(
            self._write_command(directory, launch, decision.case.id, underway.disk)
        )
        try:
            outcome, migrated = await guest
        finally:
            command = await writing
        if outcome.assists:
            self._run.note_assists(command, outcome.assists)
        # A guest ends in many ways when its disk does, a pass among them: this comes first.
        disk_lost = await underway.disk.stop() if underway.disk is not None else ""
        if outcome.ending is Ending.INTERRUPTED and not disk_lost:
            return None
        from matrix.verdict.deciding import Evidence, decide_attempt  # loaded while a guest starts

        return await decide_attempt(
            Evidence(
                decision=decision,
                launch=launch,
                outcome=outcome,
                transcript=underway.parser.finish(),
                hops=migrated,
                inventory=self._inventory,
                directory=directory,
                starts_nothing=self._why_never,
                disk_lost=disk_lost,
            ),
            number=assignment.attempt,
            command=f"{assignment.folder}/{COMMAND_FILE}",
            artifacts=assignment.folder,
        )

    async def _why_never(self, decision: Run) -> str:
        """Why an emulator of the case starts no guest at all; empty where that is not so."""
        return await self._starting.why_never(decision)

    async def _write_command(
        self, directory: Path, launch: Launch, case_id: str, disk: DiskServer | None
    ) -> Path:
        first = disk.by_hand() if disk is not None else ""
        return self._run.write_command(directory, launch, case_id, first=first)

    async def _run_guest(
        self,
        assignment: Assignment,
        decision: Run,
        launch: Launch,
        directory: Path,
        underway: Underway,
    ) -> tuple[Outcome, ChainResult | None]:
        """How its QEMU ended and, of a guest that is migrated, what its hops came to.

        Raises:
            SuiteError, UnstartableError: a destination cannot be started any more.
        """
        case, limits = decision.case, limits_of(decision)
        if case.migration is None:
            # A guest that measures time is left alone by us, too.
            helped = case.settings.assist and not case.settings.alone
            # QEMU 7.2 is helped by a migration that is cancelled, of which it dies with these.
            helped = helped and case.variant.arch is not Architecture.LOONGARCH64
            translated = decision.accelerator is Accelerator.TCG and helped
            outcome = await run_guest(
                launch,
                directory,
                replace(limits, translated=translated),
                on_console=underway.printed,
                interrupt=underway.interrupt,
                turn=underway.turn,
            )
            return outcome, None
        from matrix.hosts.local.migrated_case import migrate_case  # most runs migrate nothing

        await underway.released()
        result = await migrate_case(
            decision,
            launch,
            self._inventory,
            directory,
            limits,
            attempt=assignment.attempt,
            seed=assignment.seed,
            on_console=underway.printed,
            on_hop=underway.hopped,
            interrupt=underway.interrupt,
        )
        return result.outcome, result


def limits_of(decision: Run) -> Limits:
    """What the guest of a case may take."""
    case = decision.case
    return Limits(
        timeout=time_limit(case, decision.limit),
        stall=stall_limit(case),
        dump=case.settings.on_stall is OnStall.DUMP,
    )


def not_started(assignment: Assignment, why: str) -> Attempt:
    """The attempt of a case that cannot be started where it was planned."""
    return Attempt(
        number=assignment.attempt,
        verdict=Verdict.ERROR,
        reason=why,
        seconds=0.0,
        artifacts=assignment.folder,
    )
