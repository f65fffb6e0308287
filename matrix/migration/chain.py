"""One case whose guest is migrated as a scenario says, until its test, or the chain, is over.

The next destination is started while the current hop runs, or while the pace passes, so that no hop
waits for a QEMU to come up. What the guest says at its end is its verdict, as without migration.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from matrix.attempt import ChainResult, Ending
from matrix.migrating import MigrationMode
from matrix.migration.cooperative import Cooperation, cooperate
from matrix.migration.hop_records import Earlier, Records
from matrix.migration.hop_runner import HopRunner, NoHopError, Request
from matrix.migration.processes import NotStartedError, Processes
from matrix.migration.proof import Proof
from matrix.vm.machine import Guest, Limits
from matrix.vm.qemu_session import Conclusion

FIRST_OUTPUT = 0.5
"""Seconds that are waited for a guest's first output before its first hop."""
A_MOMENT = 0.05
"""Seconds in which a guest that prints all it has at once ends: a QEMU that is told of a migration
then may abort (11.1), and there is nothing left to be migrated."""

BAD_IN_A_ROW = 3
"""Hops after which a chain is given up: what failed so often will fail again."""
STOP_KEY = b"q"
"""What ends a guest that proves its memory until it is told to stop."""
LONGEST_START = 0.1
"""Seconds of pace from which a destination is started between hops, where it disturbs none."""


async def run_chain(
    request: Request,
    directory: Path,
    limits: Limits,
    *,
    on_console: Callable[[bytes], None],
    interrupt: asyncio.Event | None = None,
) -> ChainResult:
    """Run one case to its end, migrating its guest.

    Args:
        request: which guest, and how it is migrated.
        directory: of the attempt, as for :func:`matrix.vm.machine.run_guest`. console.log (of all
            processes joined), qemu.log, qmp.jsonl and hops.jsonl are written as things happen.
        limits: time and space, as there. Half of the time that hops take is added to ``timeout``,
            and a chain that is asked for a number of hops or a duration may take that long.
        on_console: gets the bytes of the joined console.
        interrupt: when it is set, the chain ends.

    Raises:
        as :meth:`matrix.vm.machine.Guest.run`.
    """
    chain = _Chain(request.fitted(), directory, limits, on_console)
    return await chain.run(interrupt)


class _Chain:
    """When the guest of a case is migrated, and what comes of it."""

    def __init__(
        self,
        request: Request,
        directory: Path,
        limits: Limits,
        on_console: Callable[[bytes], None],
    ) -> None:
        self._request = request
        self._on_console = on_console
        self._guest = Guest(directory, limits, self._console, migrates=True)
        self._processes = Processes(
            self._guest,
            request.clock,
            explain_downtime=request.migration.explain_downtime,
            places=request.places,
        )
        self._proof = Proof(self._guest.board.changed)
        self._cooperation = Cooperation(self._guest.board.changed)
        self._records = Records(directory, request.seed, request.migration.limits)
        self._runner: HopRunner | None = None
        self._printed = False
        self._soaked = False
        """The chain had enough, and the guest was told to end or left to."""
        self._refusal: NotStartedError | None = None
        """Of a destination that does not take the case's configuration."""
        self._missed = ""
        """What did not happen that had to."""

    async def run(self, interrupt: asyncio.Event | None) -> ChainResult:
        """See :func:`run_chain`."""
        try:
            outcome = await self._guest.run(self._drive, interrupt)
        finally:
            summary = self._records.close()
        runner = self._runner
        if (refusal := self._refusal) is not None:
            outcome = replace(outcome, ending=Ending.REFUSED, stderr_tail=refusal.stderr_tail)
            return ChainResult(outcome, summary, refused_by=refusal.emulator.label)
        if runner is None:
            return ChainResult(outcome, summary)
        lost, as_expected = runner.lost or ("", False)
        bad = (*runner.bad, self._missed, runner.strays())
        return ChainResult(outcome, summary, lost, as_expected, tuple(filter(None, bad)))

    async def _drive(self) -> Conclusion:
        """Hop after hop until there is no more to be done; then the guest's own end."""
        request, processes = self._request, self._processes
        try:
            earlier = Earlier()
            if request.earlier is not None:
                earlier = self._records.resume(request.earlier)
            _ = processes.folder  # a host that has no place for sockets says so at once
            first = await processes.start(request.source, incoming=False)
        except NotStartedError as error:
            return error.conclusion
        except ValueError as error:  # an earlier hops.jsonl that is none
            return Conclusion(Ending.ERROR, str(error))
        runner = HopRunner(request, processes, self._proof, self._records, first, earlier)
        self._runner = runner
        runner.prepare()
        try:
            # The first destination waits for the source, not the other way round: tests are short.
            await runner.prepared()
            runner.begun = time.monotonic()
            try:
                await self._boot(runner)
            except NotStartedError as error:
                return error.conclusion
            await self._hops(runner)
        except NotStartedError as error:
            return self._without_destination(runner, error)
        except NoHopError as error:
            return Conclusion(Ending.ERROR, str(error))
        finally:
            await runner.close()
        if runner.lost is not None:
            return Conclusion(Ending.KILLED, runner.lost[0])
        self._soak_over(runner)
        return await runner.current.session.over()

    async def _boot(self, runner: HopRunner) -> None:
        """Let the guest run, or have its debugger do so. Raises as :meth:`Processes.boot`."""
        if self._request.debugger is None:
            await self._processes.boot(runner.current)
            return
        await self._request.debugger.boot(runner.current, lambda: runner.over)
        self._guest.runs()

    def _without_destination(self, runner: HopRunner, error: NotStartedError) -> Conclusion:
        refused = error.conclusion.ending is Ending.REFUSED and error.as_asked
        if refused and error.emulator.key not in self._processes.known_abilities:
            # As of a source that refuses: it has never come up with this command line.
            self._refusal = error
            return error.conclusion
        return Conclusion(Ending.ERROR, f"the destination of hop {runner.next_number}: {error}")

    async def _hops(self, runner: HopRunner) -> None:
        """All hops, as the mode has it."""
        if self._request.migration.mode is MigrationMode.COOPERATIVE:
            self._missed = await cooperate(runner, self._cooperation)
            return
        board, timeout = self._guest.board, self._guest.limits.timeout
        if self._request.proves:
            # What is typed before it listens is lost; its firmware may take its time before that.
            await board.until(lambda: self._proof.present or runner.over, timeout)
        else:
            await board.until(lambda: self._printed or runner.over, FIRST_OUTPUT)
            await runner.over_within(A_MOMENT)
        await _hop_on(runner, timeout)

    def _console(self, data: bytes) -> None:
        self._printed = True
        self._proof.feed(data, self._processes.clock.time())
        self._cooperation.feed(data)
        self._on_console(data)
        migration = self._request.migration
        asked = migration.hops is not None or migration.duration is not None
        if asked and self._proof.present and not self._soaked:
            self._guest.begun = None  # the scenario says how long it takes
        self._guest.board.changed()

    def _soak_over(self, runner: HopRunner) -> None:
        """There were hops enough: the guest has its time from here on, and may be told to end."""
        self._soaked = True
        if self._guest.begun is None:
            self._guest.begun = time.monotonic()
            self._guest.check_time()
        if self._proof.present and not runner.over:
            runner.current.session.type(STOP_KEY)


async def _hop_on(runner: HopRunner, timeout: float) -> None:  # noqa: ASYNC109 - the guest's, no wait
    """Hop until the guest's end, or as often or as long as asked for.

    Args:
        runner: makes the hops.
        timeout: seconds that the guest may take. One that would never end by itself is left after
            half of them, where the scenario says neither how often nor how long.

    Raises:
        NoHopError, NotStartedError: as :meth:`HopRunner.hop`.
    """
    pace = runner.request.migration.pace

    def more(hops: int = 0) -> bool:
        return _wants_more(runner, timeout, hops)

    def more_at_once(hops: int) -> bool:
        return pace < LONGEST_START and more(hops)

    while more():
        if not await runner.hop(more=more_at_once) or not more():
            return
        if pace >= LONGEST_START:
            runner.prepare()
        if await runner.over_within(pace):
            return


def _wants_more(runner: HopRunner, timeout: float, others: int) -> bool:
    """Whether there is another hop to be made, after so many others that are to come."""
    migration, earlier = runner.request.migration, runner.earlier
    hops = runner.guest.hops + others
    if runner.bad_in_a_row >= BAD_IN_A_ROW or runner.stranded:
        return False
    if migration.mode is MigrationMode.ONCE:
        # One that is interfered with must be followed by one that just works.
        return hops < (2 if migration.faults else 1)
    if migration.hops is not None and hops + earlier.hops >= migration.hops:
        return False
    elapsed = time.monotonic() - runner.begun + earlier.seconds
    if migration.duration is not None:
        return elapsed < migration.duration
    if migration.hops is None and runner.proof.present:
        return elapsed < timeout / 2
    return True
