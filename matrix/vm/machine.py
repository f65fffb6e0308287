"""One guest, from its first QEMU process to how it ended: the one loop that concludes it.

A guest owns its processes: one, or where it is migrated one after the other and two at a time. What
is done to it is a *policy*: :func:`run_guest` only lets it run, :mod:`matrix.migration.chain` has
it migrated as a scenario says, :mod:`matrix.pytest_plugin.running` as a test asks. Everything else
that may end it is here: its time, silence without work, a halt, trouble of the host, the user. So
are its one console, the diagnosis, and the end of all its processes.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from matrix.attempt import Assist, Ending, Outcome
from matrix.errors import HostError
from matrix.model import Launch
from matrix.patterns import late
from matrix.vm.joined_console import JoinedConsole, Voice
from matrix.vm.location import HERE, Place
from matrix.vm.logs import Logs
from matrix.vm.qemu_session import Conclusion, Session
from matrix.vm.tasks import Board, first_of, put_off_cancellation

STDERR_LINES = 20
"""Lines of QEMU's stderr that an outcome carries; all of it is in qemu.log."""
HUNG = (Ending.TIMEOUT, Ending.STALL, Ending.INTERNAL_ERROR)
"""Endings of a guest that is looked at before it is killed."""
SLOWED_BY = 0.5
"""Share of the time in hops that does not count towards the guest's timeout."""
ENDING_AT_ONCE = 4
"""Processes that may be on their way out while another is started."""
_OF_A_HOP = late(
    r"migration|SaveStateEntry|savevm|vmstate|Unable to (?:read|write|shutdown)|section footer"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a guest may take."""

    timeout: float
    """Seconds of wall time for the guest, from the moment at which it runs."""
    stall: float
    """Seconds without console output and without CPU time (or in a dead loop)."""
    log_bytes: int = 16 * 2**20
    """Bytes of console.log and of qemu.log, each."""
    start: float = 60.0
    """Seconds until QEMU has answered on its monitor and lets its guest run."""
    translated: bool = False
    """The guest is run by TCG, which may be helped while it works silently
    (:mod:`matrix.vm.tlb`)."""
    dump: bool = False
    """Keep the memory of a guest that stalls."""


def _nobody(_data: bytes) -> None:
    pass


async def run_guest(
    launch: Launch,
    directory: Path,
    limits: Limits,
    *,
    on_console: Callable[[bytes], None] = _nobody,
    interrupt: asyncio.Event | None = None,
    turn: asyncio.Event | None = None,
) -> Outcome:
    """Run one QEMU to its end, whatever that is, and tell it.

    Args:
        launch: the command line; the monitor and ``-S`` are added here.
        directory: exists, private (0700) and without files of ours: console.log, qemu.log and
            qmp.jsonl are written as things happen, diagnosis/ of a guest that hangs.
        limits: time and space.
        on_console: gets the console's bytes as they come; not to block.
        interrupt: when it is set, QEMU is asked to quit, then made to.
        turn: until it is set, QEMU is started and its guest stays stopped, which counts as nobody's
            time.

    An ``exit_status`` is told only of a QEMU that exited by itself, and None where it had to be
    ended because its guest was over (paused after a panic or a shutdown); ``kvm_enabled`` only
    where the command line names KVM. Raises as :meth:`Guest.run`.
    """
    guest = Guest(directory, limits, on_console)

    async def drive() -> Conclusion:
        session = await guest.start(launch)
        # Not awaited by us alone: QEMU may end while its monitor is waited for.
        session.ended.add_done_callback(lambda ended: guest.conclude(ended.result()))
        if turn is not None and not turn.is_set():
            if failed := await session.connect(limits.start):
                return failed
            await session.wait_for(turn)
        if failed := await session.boot(limits.start):
            return failed
        guest.runs()
        return await session.over()

    return await guest.run(drive, interrupt)


class Guest:
    """A guest and all its processes. An asynchronous context: nothing of it is left afterwards."""

    def __init__(
        self,
        directory: Path,
        limits: Limits,
        on_console: Callable[[bytes], None],
        *,
        migrates: bool = False,
    ) -> None:
        """``migrates``: it may have several processes, which the logs then name, and is typed to;
        the other arguments are those of :func:`run_guest`."""
        self.directory = directory
        self.limits = limits
        self.migrates = migrates
        self.board = Board()
        """Changes with what happens to any of its processes."""
        self.console = JoinedConsole(self._output)
        self.current: Session | None = None
        """The process that runs the guest, or did last."""
        self.hops = 0
        """Hops that were begun: QEMU says much of one in which its guest ends."""
        self.hop_seconds = 0.0
        """Seconds that it spent in hops."""
        self.hopping = False
        """A hop is under way: whether source or destination has the guest, it will say."""
        self.begun: float | None = None
        """From when its time counts, by the monotonic clock; None while it does not."""
        self.last_output = time.monotonic()
        """When it has printed something last, or was let run."""
        self.failure: Exception | None = None
        """What the host, or ``on_console``, raised where there was no caller to raise it to."""
        self.resources = contextlib.ExitStack()
        """Released once all processes are gone."""
        self._on_console = on_console
        self._logs: Logs | None = None
        self._first: Session | None = None
        self._voices: dict[Session, Voice] = {}
        """Of all processes that were not closed yet."""
        self._started = 0
        self._retired: set[asyncio.Task[None]] = set()
        """They end processes that are no longer needed."""
        self._runs = asyncio.Event()
        self._moved = asyncio.Event()
        self._concluded: asyncio.Future[Conclusion] | None = None
        self._timer: asyncio.TimerHandle | None = None

    # -- how it ends

    async def run(
        self,
        drive: Callable[[], Coroutine[Any, Any, Conclusion]],
        interrupt: asyncio.Event | None = None,
    ) -> Outcome:
        """Do what ``drive`` does until that, or something else, ends the guest; tell how it ended.

        Nothing that QEMU, its guest or the host does raises: a host that fails (no program, no
        space, no descriptors) is :attr:`~matrix.attempt.Ending.ERROR` with the reason.

        Raises:
            CancelledError: after all QEMUs have been killed and reaped.
            Exception: whatever ``on_console`` raised, after the same.
        """

        async def interrupted(event: asyncio.Event) -> Conclusion:
            await event.wait()
            return Conclusion(Ending.INTERRUPTED, "interrupted")

        doing = ""
        self._concluded = asyncio.get_running_loop().create_future()
        try:
            async with self:
                # Of several ends in one turn of the loop the leftmost counts: trouble of the host
                # and QEMU's exit explain what policy and watch see of them, and not vice versa.
                waits = [] if interrupt is None else [interrupted(interrupt)]
                conclusion = await first_of(self._concluded, drive(), self._watch(), *waits)
                if self.current is not None:
                    doing = await _end(self.current, conclusion, dump=self.limits.dump)
        except (OSError, HostError) as error:
            conclusion = Conclusion(Ending.ERROR, words(error))
        if self.failure is not None:
            if not isinstance(self.failure, OSError | HostError):
                raise self.failure
            conclusion = Conclusion(Ending.ERROR, words(self.failure))
        return self._outcome(conclusion, doing)

    def conclude(self, conclusion: Conclusion) -> None:
        """It ends so, if nothing has ended it yet."""
        if self._concluded is not None and not self._concluded.done():
            self._concluded.set_result(conclusion)

    def fail(self, error: Exception) -> None:
        """Something failed where there was no caller to raise it to; the first one counts."""
        self.failure = self.failure or error
        self.conclude(Conclusion(Ending.ERROR, str(error)))

    def runs(self) -> None:
        """Its first process was let run: its time begins, and it is watched."""
        self.begun = self.last_output = time.monotonic()
        self._runs.set()
        self.check_time()

    @property
    def time_limit(self) -> float:
        """Seconds that it may take, with the hops that it has made."""
        return self.limits.timeout + SLOWED_BY * self.hop_seconds

    def check_time(self) -> None:
        """Conclude if its time is over, or look again when it will be; to be called where
        :attr:`begun` was changed."""
        if self._timer is not None:
            self._timer.cancel()
        if self.begun is None:
            return
        left = self.begun + self.time_limit - time.monotonic()
        if left <= 0:
            why = f"no end within {self.limits.timeout:g} s"
            self.conclude(Conclusion(Ending.TIMEOUT, why))
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self.check_time)

    async def _watch(self) -> Conclusion:
        """Watch whichever process runs the guest for stalls and halts."""
        await self._runs.wait()
        from matrix.vm.watch import Watch  # loaded while a guest starts

        while True:
            self._moved.clear()
            assert self.current is not None  # noqa: S101 - it runs
            watch = Watch(self.current, self.limits.stall, translated=self.limits.translated)
            found = await (self._unless_moved(watch.run()) if self.migrates else watch.run())
            if found is not None and not (self.hopping and found.ending is Ending.STALL):
                return found
            # In a hop a source that is silent and idle may have handed its guest over (postcopy):
            # the hop, which has a time limit of its own, says who has it, and that one is watched.
            await self.board.until(lambda: not self.hopping, None)

    async def _unless_moved(self, watch: Coroutine[Any, Any, Conclusion]) -> Conclusion | None:
        async def moved() -> None:
            await self._moved.wait()

        never: asyncio.Future[Conclusion | None] = asyncio.get_running_loop().create_future()
        return await first_of(never, watch, moved())

    def _outcome(self, conclusion: Conclusion, doing: str) -> Outcome:
        session, first = self.current, self._first
        if session is None or first is None:
            return Outcome(conclusion.ending, 0.0, reason=conclusion.reason)
        status = session.process.status if session.process is not None else None
        by_itself = session.ended.done() and session.ended.result() == conclusion
        own = status if by_itself else None
        tail = session.errors.lines()[-STDERR_LINES:]
        if self.hops and conclusion.ending is Ending.EXITED:
            # What QEMU says of hops is in their records, and no guest ended of it.
            tail = tuple(line for line in tail if _OF_A_HOP.search(line) is None)
        return Outcome(
            ending=conclusion.ending,
            seconds=session.begun - first.begun + session.seconds,
            exit_status=own if own is not None and own >= 0 else None,
            signal=-own if own is not None and own < 0 else None,
            panicked=session.panic_action is not None,
            shutdown_reason=session.shutdown_reason,
            kvm_enabled=session.kvm_enabled,
            stderr_tail=tail,
            last_line=session.console.last_line(),
            monitor_broken=session.monitor.broken if session.monitor is not None else "",
            doing=doing,
            reason=conclusion.reason,
            assists=tuple(
                (each, session.assists[each]) for each in Assist if session.assists[each]
            ),
        )

    # -- its processes

    async def start(
        self, launch: Launch, *, incoming: bool = False, place: Place = HERE
    ) -> Session:
        """Start a QEMU at ``place``, stopped. The first one has the guest; one that is ``incoming``
        waits for it.

        Raises:
            OSError: the logs cannot be created, or no descriptors are left.
            SpawnError: QEMU cannot be started.
        """
        while len(self._retired) >= ENDING_AT_ONCE:
            await asyncio.wait(self._retired, return_when=asyncio.FIRST_COMPLETED)
        self._started += 1
        voice = self.console.voice()
        name = f"qemu-{self._started}" if self.migrates else ""
        session = Session(
            self.directory, voice.take, self._open_logs, self.fail, name=name, place=place
        )
        voice.drain = session.drain
        if place.host:
            # What it printed last is on its way still when a guest that has left it prints.
            voice.has_ended = lambda: session.silent
            session.on_silent = self.console.on_silence
        self._voices[session] = voice
        if not incoming:
            self.console.begin(voice)
        try:
            await session.start(launch, typing=self.migrates, incoming=incoming)
        except BaseException:  # a cancellation too: no QEMU stays
            await put_off_cancellation(self.close(session))
            raise
        if not incoming:
            self._first = self.current = session
        return session

    def _open_logs(self, monitor: bool) -> Logs:
        """One set for all processes, made with the first."""
        if self._logs is None:
            self._logs = Logs(self.directory, self.limits.log_bytes, monitor=monitor)
        return self._logs

    def expect(self, destination: Session) -> None:
        """The guest is about to go there: its console is the next to have the word."""
        self.console.expect(self._voices[destination])

    def keep(self, source: Session) -> None:
        """The guest stays there."""
        self.console.keep(self._voices[source])

    def move(self, destination: Session) -> None:
        """The guest is there now."""
        self.console.hand_over()
        self.current = destination
        self._moved.set()

    def retire(self, session: Session) -> None:
        """Quit a process that is no longer needed, without waiting for its end."""
        task = asyncio.create_task(self._quit(session))
        self._retired.add(task)
        task.add_done_callback(self._quitted)

    async def _quit(self, session: Session) -> None:
        try:
            await session.stop(politely=True)
        finally:
            await put_off_cancellation(self.close(session))

    def _quitted(self, task: asyncio.Task[None]) -> None:
        self._retired.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error if isinstance(error, Exception) else HostError(str(error)))

    async def close(self, session: Session) -> None:
        """End a process, and release what it holds. Raises as :meth:`Session.close`."""
        await session.close()
        self._voices.pop(session, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all processes and store the last of their output.

        Raises:
            OSError: that cannot be stored.
            HostError: one survives SIGKILL.
        """
        if self._timer is not None:
            self._timer.cancel()
        try:
            results = await put_off_cancellation(self._end_all())
        finally:
            self._voices.clear()
            self.resources.close()
            if self._logs is not None:
                self._logs.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _end_all(self) -> list[object]:
        """End all processes, and give what that raised. One piece of work: a second cancellation
        (of a user who presses Ctrl-C twice) must not come between its two steps."""
        for task in self._retired:
            task.cancel()
        # They close what they end; none may be closed twice at the same time.
        results: list[object] = [*await asyncio.gather(*self._retired, return_exceptions=True)]
        closing = (session.close() for session in self._voices)
        return results + await asyncio.gather(*closing, return_exceptions=True)

    def _output(self, data: bytes) -> None:
        self.last_output = time.monotonic()
        if self._logs is not None:
            self._logs.console.write(data)
        self._on_console(data)

    @property
    def silence(self) -> float:
        """Seconds since it has printed anything, or was let run."""
        return time.monotonic() - self.last_output


async def _end(session: Session, conclusion: Conclusion, *, dump: bool) -> str:
    """End QEMU in the way that suits: a hung one will not listen to its monitor.

    Returns:
        What a guest that hangs was last doing; empty for others.

    Raises:
        HostError: it survives SIGKILL.
    """
    doing = ""
    if conclusion.ending in HUNG:
        from matrix.vm.diagnosis import diagnose, keep_memory  # most guests never hang

        doing = await diagnose(session)
        if dump and conclusion.ending is Ending.STALL:
            kept = await keep_memory(session)
            doing = ", ".join(filter(None, (doing, kept)))
    await session.stop(politely=conclusion.ending in (Ending.EXITED, Ending.INTERRUPTED))
    return doing


def words(error: OSError | HostError) -> str:
    """What the host failed at."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot write {error.filename}: {error.strerror}"
    return str(error)
