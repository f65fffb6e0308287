"""Where a case runs: the interface of an executor, and the one for this machine.

An assignment goes in and an :class:`matrix.attempt.Attempt` comes out, both plain data, so that
nothing above this module knows where a case ran.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from matrix.attempt import Attempt, ChainResult, Ending, Outcome
from matrix.errors import SuiteError
from matrix.hosts.local.launch import UnstartableError, make_launch
from matrix.hosts.local.starting import Starting
from matrix.inventory import Inventory
from matrix.migrating import Hop
from matrix.model import Accelerator, Launch, Verdict
from matrix.plan.command import time_limit
from matrix.plan.decisions import Run
from matrix.results.directory import RunDirectory
from matrix.suites.registry import suite_of
from matrix.suites.suite import Parser
from matrix.vm.machine import Limits, run_guest
from matrix.vm.tasks import in_thread


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt of one case, and the folder for what it leaves."""

    decision: Run
    attempt: int
    directory: Path


class Executor(Protocol):
    """Where cases run."""

    async def execute(
        self,
        assignment: Assignment,
        parser: Parser,
        interrupt: asyncio.Event,
        turn: asyncio.Event | None = None,
    ) -> Attempt | None:
        """Run one attempt; None when it was interrupted.

        Until ``turn`` is set the guest stays stopped; with none it runs at once. Its console goes
        through ``parser``, whose last line a progress display may show. Never raises for what QEMU
        or the guest does. Raises HostError where this host cannot go on (a full disk), and
        CancelledError once its QEMU has been reaped.
        """
        ...


class LocalExecutor:
    """Runs cases on this machine."""

    def __init__(
        self,
        inventory: Inventory,
        run: RunDirectory,
        *,
        seed: int | None = None,
        on_hop: Callable[[str, Hop], None] | None = None,
    ) -> None:
        """Runs cases of ``run`` with what ``inventory`` says of this machine.

        ``seed`` is that of the hops of guests that are migrated, None for one per case and attempt;
        ``on_hop`` is told of each hop, with the case's id.
        """
        self._inventory = inventory
        self._run = run
        self._seed = seed
        self._on_hop = on_hop
        self._starting = Starting(inventory)

    async def execute(
        self,
        assignment: Assignment,
        parser: Parser,
        interrupt: asyncio.Event,
        turn: asyncio.Event | None = None,
    ) -> Attempt | None:
        """See :class:`Executor`."""
        directory = assignment.directory
        try:
            decision = await _refreshed(assignment.decision)
            launch = await make_launch(decision, self._inventory, directory)
        except (SuiteError, UnstartableError) as error:
            return _not_started(assignment, str(error), self._run)
        # A file takes a moment to create: it is, as soon as this coroutine waits for its QEMU.
        writing = asyncio.create_task(self._write_command(directory, launch, decision.case.id))
        try:
            outcome, migrated = await self._run_guest(
                assignment, decision, launch, parser, interrupt, turn
            )
        except (SuiteError, UnstartableError) as error:
            return _not_started(assignment, str(error), self._run)
        finally:
            command = await writing
        if outcome.assists:
            self._run.note_assists(command, outcome.assists)
        if outcome.ending is Ending.INTERRUPTED:
            return None
        from matrix.verdict.deciding import Evidence, decide_attempt  # loaded while a guest starts

        return await decide_attempt(
            Evidence(
                decision=decision,
                launch=launch,
                outcome=outcome,
                transcript=parser.finish(),
                hops=migrated,
                inventory=self._inventory,
                directory=directory,
                starts_nothing=self._starting.why_never,
            ),
            number=assignment.attempt,
            command=str(command),
            artifacts=self._run.relative(directory),
        )

    async def _write_command(self, directory: Path, launch: Launch, case_id: str) -> Path:
        return self._run.write_command(directory, launch, case_id)

    async def _run_guest(
        self,
        assignment: Assignment,
        decision: Run,
        launch: Launch,
        parser: Parser,
        interrupt: asyncio.Event,
        turn: asyncio.Event | None,
    ) -> tuple[Outcome, ChainResult | None]:
        """How its QEMU ended and, of a guest that is migrated, what its hops came to.

        Raises:
            SuiteError, UnstartableError: a destination cannot be started any more.
        """
        directory, case = assignment.directory, decision.case
        limits = Limits(timeout=time_limit(case), stall=case.settings.stall)
        if case.migration is None:
            # A guest that measures time is left alone by us, too.
            helped = case.settings.assist and not case.settings.alone
            translated = decision.accelerator is Accelerator.TCG and helped
            limits = replace(limits, translated=translated)
            outcome = await run_guest(
                launch, directory, limits, on_console=parser.feed, interrupt=interrupt, turn=turn
            )
            return outcome, None
        from matrix.hosts.local.migrating import migrate_case  # most runs migrate nothing

        if turn is not None:
            await turn.wait()

        result = await migrate_case(
            decision,
            launch,
            self._inventory,
            directory,
            limits,
            attempt=assignment.attempt,
            seed=self._seed,
            on_console=parser.feed,
            on_hop=None if self._on_hop is None else partial(self._on_hop, case.id),
            interrupt=interrupt,
        )
        return result.outcome, result


async def _refreshed(decision: Run) -> Run:
    """The decision with its test's values evaluated now, where they come from commands.

    Raises:
        SuiteError: the build is no longer readable.
    """
    case = decision.case
    if not case.test.dynamic:
        return decision
    test = await in_thread(partial(suite_of(case.suite).refreshed, case.build, case.test))
    return replace(decision, case=replace(case, test=test))


def _not_started(assignment: Assignment, why: str, run: RunDirectory) -> Attempt:
    """The attempt of a case that this host can no longer start."""
    return Attempt(
        number=assignment.attempt,
        verdict=Verdict.ERROR,
        reason=why,
        seconds=0.0,
        artifacts=run.relative(assignment.directory),
    )
