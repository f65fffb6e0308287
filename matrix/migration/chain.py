"""One case whose guest is migrated: from QEMU to QEMU until its test, or the chain, is over.

The next destination is started while the current hop runs, or while the pace passes, so that no hop
waits for a QEMU to come up. What the guest says at its end is its verdict, as without migration.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from matrix.attempt import ChainResult, Ending, Outcome
from matrix.errors import HostError
from matrix.migrating import MigrationMode, MigrationSummary
from matrix.migration.cooperative import Cooperation, cooperate
from matrix.migration.endpoint import Endpoint
from matrix.migration.hop_runner import HopRunner, NoHopError, Request
from matrix.migration.host_driven import STOP_KEY, hop_on
from matrix.migration.migrated import extended, migrated_outcome, watch_there
from matrix.migration.processes import NotStartedError, Processes
from matrix.migration.proof import Proof
from matrix.migration.records import Earlier, Records
from matrix.vm.machine import Limits, end_session, words
from matrix.vm.session import Conclusion
from matrix.vm.tasks import first_of

FIRST_OUTPUT = 0.5
"""Seconds that are waited for a guest's first output before its first hop."""
A_MOMENT = 0.05
"""Seconds in which a guest that prints all it has at once ends: a QEMU that is told of a migration
then may abort (11.1), and there is nothing left to be migrated."""


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

    Nothing that QEMU, its guest or the host does raises, as there.

    Raises:
        CancelledError: after all QEMUs have been killed and reaped.
        Exception: whatever ``on_console`` raised, after the same.
    """
    chain = Chain(request, directory, limits, on_console)
    return await chain.run(interrupt)


class Chain:
    """The state of one case. :meth:`run` is called once."""

    def __init__(
        self,
        request: Request,
        directory: Path,
        limits: Limits,
        on_console: Callable[[bytes], None],
    ) -> None:
        request = request.fitted()
        self._request = request
        self._limits = limits
        self._on_console = on_console
        self._processes = Processes(
            directory, limits.log_bytes, limits.start, self._console, request.clock
        )
        self._proof = Proof(self._processes.board.changed)
        self._cooperation = Cooperation(self._processes.board.changed)
        self._records = Records(directory, request.seed, request.migration.limits)
        self._runner: HopRunner | None = None
        self._running = asyncio.Event()
        """The guest runs."""
        self._soaked: float | None = None
        """When the chain had enough, and the guest was told to end or left to."""
        self._printed = False
        self._refusal: NotStartedError | None = None
        """Of a destination that does not take the case's configuration."""
        self._missed = ""
        """What did not happen that had to."""

    async def run(self, interrupt: asyncio.Event | None) -> ChainResult:
        """See :func:`run_chain`."""
        begun = time.monotonic()
        doing = ""
        try:
            async with self._processes:
                conclusion = await self._conclude(interrupt)
                if self._runner is not None:
                    doing = await end_session(self._runner.current.session, conclusion)
        except (OSError, HostError) as error:
            conclusion = Conclusion(Ending.ERROR, words(error))
        except ValueError as error:  # an earlier hops.jsonl that is none
            conclusion = Conclusion(Ending.ERROR, str(error))
        finally:
            summary = self._records.close()
        if (failure := self._failure()) is not None:
            if not isinstance(failure, OSError | HostError):
                raise failure
            conclusion = Conclusion(Ending.ERROR, words(failure))
        return self._result(conclusion, doing, summary, time.monotonic() - begun)

    def _result(
        self, conclusion: Conclusion, doing: str, summary: MigrationSummary, seconds: float
    ) -> ChainResult:
        runner = self._runner
        if (refusal := self._refusal) is not None:
            tail, reason = refusal.stderr_tail, conclusion.reason
            outcome = Outcome(Ending.REFUSED, seconds, stderr_tail=tail, reason=reason)
            return ChainResult(outcome, summary, refused_by=refusal.emulator.label)
        if runner is None:
            outcome = migrated_outcome(None, conclusion, doing, seconds, 0)
            return ChainResult(outcome, summary)
        last, hops = runner.current.session, runner.tally.attempts
        outcome = migrated_outcome(last, conclusion, doing, seconds, hops)
        lost, as_expected = runner.lost or ("", False)
        bad = [*runner.tally.bad, *([self._missed] if self._missed else [])]
        if late := runner.strays():
            bad.append(late)
        return ChainResult(outcome, summary, lost, as_expected, tuple(bad))

    # -- from the first QEMU to the last

    async def _conclude(self, interrupt: asyncio.Event | None) -> Conclusion:
        """Do everything; the first thing that ends the guest, or us, is the conclusion."""

        async def interrupted(event: asyncio.Event) -> Conclusion:
            await event.wait()
            return Conclusion(Ending.INTERRUPTED, "interrupted")

        waits = [self._drive(), self._watch(), self._time_limit(), self._host_trouble()]
        if interrupt is not None:
            waits.append(interrupted(interrupt))
        never: asyncio.Future[Conclusion] = asyncio.get_running_loop().create_future()
        return await first_of(never, *waits)

    async def _drive(self) -> Conclusion:
        """Hop after hop until there is no more to be done; then the guest's own end."""
        request, processes = self._request, self._processes
        earlier = Earlier()
        if request.earlier is not None:
            earlier = self._records.resume(request.earlier)
        try:
            first = await processes.start(request.source, incoming=False)
            runner = HopRunner(
                request,
                processes,
                self._proof,
                self._records,
                first,
                earlier,
                self._limits.stall,
            )
        except NotStartedError as error:
            return error.conclusion
        self._runner = runner
        try:
            failed = await self._begun(runner, first)
            if failed is not None:
                return failed
            await self._hops(runner)
        except NotStartedError as error:
            refused = error.conclusion.ending is Ending.REFUSED and error.as_asked
            if refused and error.emulator.name not in processes.known_abilities:
                # As of a source that refuses: it has never come up with this command line.
                self._refusal = error
                return error.conclusion
            return Conclusion(Ending.ERROR, f"the destination of hop {runner.next_number}: {error}")
        except NoHopError as error:
            return Conclusion(Ending.ERROR, str(error))
        finally:
            await runner.close()
        if runner.lost is not None:
            return Conclusion(Ending.KILLED, runner.lost[0])
        self._soaked = time.monotonic()
        processes.board.changed()
        if self._proof.present and not runner.over:
            runner.current.session.type(STOP_KEY)
        return await asyncio.shield(runner.current.session.ended)

    async def _begun(self, runner: HopRunner, first: Endpoint) -> Conclusion | None:
        """Let the guest run; how it ended if it does not."""
        runner.prepare()
        # The first destination waits for the source, not the other way round: tests are short.
        await runner.prepared()
        runner.begun = time.monotonic()
        try:
            await self._processes.boot(first)
        except NotStartedError as error:
            return error.conclusion
        self._running.set()
        return None

    async def _hops(self, runner: HopRunner) -> None:
        """All hops, as the mode has it."""
        if self._request.migration.mode is MigrationMode.COOPERATIVE:
            self._missed = await cooperate(runner, self._cooperation)
            return
        board = self._processes.board
        if self._request.proves:
            # What is typed before it listens is lost; its firmware may take its time before that.
            await board.until(lambda: self._proof.present or runner.over, self._limits.timeout)
        else:
            await board.until(lambda: self._printed or runner.over, FIRST_OUTPUT)
            await runner.over_within(A_MOMENT)
        await hop_on(runner, self._limits.timeout)

    # -- what goes on beside the hops

    def _console(self, data: bytes, at: float) -> None:
        self._printed = True
        self._proof.feed(data, at)
        self._cooperation.feed(data)
        self._on_console(data)
        self._processes.board.changed()

    async def _watch(self) -> Conclusion:
        """Watch whichever process runs the guest for stalls and halts."""
        await self._running.wait()
        while True:
            runner = self._runner
            assert runner is not None  # noqa: S101 - it runs
            runner.moved.clear()
            current = runner.current.session
            conclusion = await watch_there(current, self._limits.stall, runner.moved)
            if conclusion is not None:
                return conclusion

    async def _time_limit(self) -> Conclusion:
        """The guest's own time, of which hops take a part, is over."""
        await self._running.wait()
        board, limit = self._processes.board, self._limits.timeout
        while True:
            left = self._time_left()
            if left is None:
                await board.until(lambda: self._soaked is not None, None)
            elif left <= 0:
                return Conclusion(Ending.TIMEOUT, f"no end within {limit:g} s")
            else:
                await asyncio.sleep(left)

    def _time_left(self) -> float | None:
        """Seconds; None while the scenario says how long it takes."""
        runner, migration = self._runner, self._request.migration
        assert runner is not None  # noqa: S101 - it runs
        begun = runner.begun
        asked = migration.hops is not None or migration.duration is not None
        if asked and self._proof.present:
            if self._soaked is None:
                return None
            begun = self._soaked
        return begun + extended(self._limits.timeout, runner.tally.hop_seconds) - time.monotonic()

    async def _host_trouble(self) -> Conclusion:
        """Something failed that had no caller to raise it to."""
        await self._processes.board.until(lambda: self._failure() is not None, None)
        return Conclusion(Ending.ERROR, str(self._failure()))

    def _failure(self) -> Exception | None:
        if self._processes.failure is not None or self._runner is None:
            return self._processes.failure
        return self._runner.current.session.failure
