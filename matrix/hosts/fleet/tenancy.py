"""What a host does for one run: its attempts, for as long as the lease lasts.

An attempt that is over stays, with its folder, until the orchestrator has all of it: one whose link
was down, or that was started again, asks for the same attempt and gets what it came to.
"""

import asyncio
import contextlib
import shutil
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from matrix.errors import HostError, LossCause
from matrix.hosts.console_batch import UNREAD_MOST, ConsoleBatch
from matrix.hosts.contents import CaseFile, Contents
from matrix.hosts.fleet.file_cache import FileCache, Incoming
from matrix.hosts.fleet.hand_over import parts_of
from matrix.hosts.fleet.lease import MARGIN, Lease
from matrix.hosts.fleet.lending import Lendings
from matrix.hosts.fleet.link import Link
from matrix.hosts.fleet.messages import Accept, Chunk, FleetKind, Lost
from matrix.hosts.interface import Assignment, Console, Ended, Executor, HopDone
from matrix.hosts.lines import WireError
from matrix.hosts.local.executor import not_started
from matrix.migration.endpoint import Emulator
from matrix.vm.location import Landing

LAPSED = "its lease was over: nothing was heard of the orchestrator"


class HostedAttempt:
    """An attempt on this host."""

    def __init__(
        self, number: int, assignment: Assignment, link: Callable[[], Link | None]
    ) -> None:
        """``link`` gives the connection, where there is one."""
        self.number = number
        self.assignment = assignment
        self.released = not assignment.held
        self.cancelled = False
        self.task: asyncio.Task[None] | None = None
        self.delivery: asyncio.Task[None] | None = None
        self.result: tuple[FleetKind, Ended | Lost | None] | None = None
        """What it came to, as the line that says so."""
        self._link = link
        self._console = ConsoleBatch(self._send)

    def emit(self, event: Console | HopDone) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        if isinstance(event, Console):
            self._console.write(event.text)
            return
        self._console.flush()
        if (link := self._link()) is not None:
            link.say(FleetKind.HOP, self.number, event)

    def over(self, kind: FleetKind, body: Ended | Lost | None) -> None:
        """It has come to that."""
        self._console.flush()
        self.result = kind, body

    def _send(self, console: Console) -> None:
        link = self._link()
        if link is not None and link.writer.transport.get_write_buffer_size() < UNREAD_MOST:
            link.say(FleetKind.CONSOLE, self.number, console)


@runtime_checkable
class Outfitter(Protocol):
    """An executor that knows how cases are started here, without doing so."""

    async def outfit(self, assignment: Assignment, qemus: tuple[str, ...]) -> tuple[Emulator, ...]:
        """How that case is started by each of these installations; its files are in its folder.

        Raises:
            HostError, SuiteError: it cannot be.
        """
        ...


class FileLostError(HostError):
    """A file that a case needs cannot be had, which says nothing of this host."""


@dataclass(slots=True)
class _Waited:
    """A file that is to come."""

    size: int
    """Bytes, as announced."""
    whole: "asyncio.Future[None]"
    incoming: Incoming | None = None


@dataclass(slots=True)
class Files:
    """The files that this host waits for."""

    cache: FileCache
    folder: Path
    """Of the run's links to them."""
    _waited: dict[str, _Waited] = field(default_factory=dict)

    async def path(self, file: CaseFile, want: Callable[[str], None]) -> Path:
        """Where the file is, which is asked for by ``want`` where it is not here.

        Raises:
            FileLostError: it cannot be had.
            OSError: the disk is full.
        """
        if file.size > self.cache.most:
            raise FileLostError(f"{file.name} has {file.size} bytes: {self.cache.most} are kept")
        if not self.cache.has(file):
            waited = self._waited.get(file.sha256)
            if waited is None:
                waited = _Waited(file.size, asyncio.get_running_loop().create_future())
                self._waited[file.sha256] = waited
                want(file.sha256)
            await asyncio.wait((waited.whole,))
            waited.whole.result()
        path = self.cache.link(file, self.folder)
        self.cache.prune()
        return path

    def ask_again(self, want: Callable[[str], None]) -> None:
        """The link is new: what has come of files is of no use."""
        self.drop()
        for sha256 in self._waited:
            want(sha256)

    def take(self, chunk: Chunk) -> None:
        """A piece has come."""
        waited = self._waited.get(chunk.sha256)
        if waited is None:
            return
        try:
            if chunk.why:
                raise FileLostError(chunk.why)
            if waited.incoming is None:
                waited.incoming = self.cache.receive(chunk.sha256, waited.size)
            waited.incoming.write(chunk.data)
            if not chunk.last:
                return
            waited.incoming.finish()
        except (HostError, OSError) as error:
            waited.whole.set_exception(error)
            waited.whole.exception()  # seen
        else:
            waited.whole.set_result(None)
        del self._waited[chunk.sha256]
        _drop(waited)

    def drop(self) -> None:
        """Forget what has not come whole."""
        for waited in self._waited.values():
            _drop(waited)


def _drop(waited: _Waited) -> None:
    if waited.incoming is not None:
        waited.incoming.drop()
        waited.incoming = None


class Tenancy:
    """A run on this host."""

    def __init__(
        self,
        accept: Accept,
        folder: Path,
        cache: FileCache,
        clock: Callable[[], float],
        deadline: Callable[[float | None], None],
        landing: Landing | None = None,
    ) -> None:
        """``deadline`` is told when this process has to be killed if it does not end its QEMUs;
        ``landing`` is where guests of other hosts arrive."""
        self.lendings = Lendings(self._outfit, landing, self._arm, self._runs_any)
        self.run = accept.run
        self.orchestrator = accept.orchestrator
        self.folder = folder
        self.lease = Lease(accept.lease)
        self.contents = Contents()
        self.executor: Executor | None = None
        self.link: Link | None = None
        self._files = Files(cache, folder / "files")
        self._clock = clock
        self._deadline = deadline
        self._attempts: dict[str, HostedAttempt] = {}
        self._by_number: dict[int, HostedAttempt] = {}
        self._renewed = asyncio.Event()
        self._watch = asyncio.create_task(self._end_in_time())
        self._begun = asyncio.Event()
        self._doing: set[asyncio.Task[None]] = set()

    @property
    def artifacts(self) -> Path:
        """In place of the run directory."""
        return self.folder / "run"

    def do(self, work: Coroutine[object, object, None]) -> None:
        """Have something done that is broken off when the run is over here."""
        task = asyncio.create_task(work)
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    def begin(self, executor: Executor) -> None:
        """Attempts can be run from here on; the first one who says so runs them."""
        if self.executor is None:
            self.executor = executor
            self._begun.set()

    def attach(self, link: Link) -> None:
        """Go on over a new link."""
        if self.link is not None:
            self.link.close()
            self.do(self.lendings.end())
        self.link = link
        self._files.ask_again(lambda sha256: link.say(FleetKind.WANT, 0, sha256))

    def detach(self, link: Link) -> None:
        """That link is gone."""
        if self.link is link:
            self.link = None
            self.do(self.lendings.end())  # nobody can drive them any more

    def renew(self, named: float) -> None:
        """The orchestrator has heard the beat that named that time."""
        self.lease.renew(named)
        self._renewed.set()
        self._arm()

    def execute(self, number: int, assignment: Assignment) -> None:
        """Run an attempt; one that is known goes on under its new number, or is handed in."""
        known = self._attempts.get(assignment.token)
        if known is None:
            known = HostedAttempt(number, assignment, lambda: self.link)
            self._attempts[assignment.token] = known
            known.task = asyncio.create_task(self._run(known))
            known.task.add_done_callback(lambda _: self._arm())
            self._arm()
        else:
            self._by_number.pop(known.number, None)
            known.number = number
        self._by_number[number] = known
        if not assignment.held:
            self.release(number)
        if known.result is not None:
            self._deliver(known)

    def release(self, number: int) -> None:
        """Let a guest run."""
        if (known := self._by_number.get(number)) is not None:
            known.released = True
            if self.executor is not None:
                self.executor.release(known.assignment.token)

    def cancel(self, number: int) -> None:
        """End an attempt."""
        if (known := self._by_number.get(number)) is not None:
            known.cancelled = True
            if self.executor is not None:
                self.executor.cancel(known.assignment.token)

    def taken(self, number: int) -> None:
        """The orchestrator has all of it."""
        if (known := self._by_number.get(number)) is not None and known.result is not None:
            self._forget(known)

    def take_chunk(self, chunk: Chunk) -> None:
        """A piece of a file that was wanted."""
        self._files.take(chunk)

    async def end_running(self, lapsed: str = "") -> None:
        """End what runs; ``lapsed`` is why, where the orchestrator is to hear of it."""
        await self.lendings.end(lapsed, self.link)
        ending = [each for each in self._attempts.values() if each.result is None]
        for each in ending:
            if each.task is not None:
                each.task.cancel()
        await asyncio.gather(
            *(each.task for each in ending if each.task is not None), return_exceptions=True
        )
        for each in ending:
            if each.result is not None:
                continue
            link = self.link
            if lapsed and link is not None:
                link.say(FleetKind.LAPSED, each.number, lapsed)
            self._forget(each)
        self._arm()

    async def close(self) -> None:
        """End everything, and leave nothing."""
        self._watch.cancel()
        await self.end_running()
        deliveries = [each.delivery for each in self._attempts.values() if each.delivery]
        rest = [*deliveries, *self._doing]
        for each in rest:
            each.cancel()
        await asyncio.gather(self._watch, *rest, return_exceptions=True)
        self._files.drop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _arm(self) -> None:
        """Have the kernel end this process when it does not do so itself."""
        runs = self.lendings.run or self._runs_any()
        self._deadline(self.lease.until + MARGIN / 3 if runs else None)

    def _runs_any(self) -> bool:
        """Whether an attempt runs here, beside those whose QEMUs are lent."""
        return any(each.task and not each.task.done() for each in self._attempts.values())

    async def _end_in_time(self) -> None:
        while True:
            left = self.lease.until - self._clock()
            if left > 0:
                await asyncio.sleep(left)
                continue
            await self.end_running(LAPSED)
            if self.lease.over(self._clock()):
                self._renewed.clear()
                await self._renewed.wait()

    async def _run(self, attempt: HostedAttempt) -> None:
        try:
            attempt.over(FleetKind.ENDED, await self._execute(attempt))
        except FileLostError as error:
            attempt.over(FleetKind.ENDED, Ended(not_started(attempt.assignment, str(error))))
        except HostError as error:
            attempt.over(FleetKind.LOST, Lost(str(error), LossCause.of(error)))
        except OSError as error:  # most likely the disk is full
            why = f"{self.folder}: {error.strerror or error}"
            attempt.over(FleetKind.LOST, Lost(why, LossCause.of(error)))
        except Exception as error:  # noqa: BLE001 - a bug of ours, for which nobody waits for ever
            traceback.print_exc()
            why = f"internal error: {error!r}; its worker's log has more"
            attempt.over(FleetKind.LOST, Lost(why))
        self._deliver(attempt)

    async def _outfit(
        self, assignment: Assignment, qemus: tuple[str, ...]
    ) -> tuple[Path, tuple[Emulator, ...]]:
        """How the QEMUs of an attempt are started that is driven from elsewhere. Raises as
        :data:`matrix.hosts.fleet.lending.Outfit`."""
        folder = self._folder(assignment)
        shutil.rmtree(folder, ignore_errors=True)
        await self._fetch(assignment)
        executor: object = self.executor
        assert isinstance(executor, Outfitter)  # noqa: S101 - this machine's is
        return folder, await executor.outfit(assignment, qemus)

    async def _execute(self, attempt: HostedAttempt) -> Ended:
        await self._fetch(attempt.assignment)
        assert self.executor is not None  # noqa: S101 - it has begun
        if attempt.cancelled:
            return Ended(None)
        held = not attempt.released
        return await self.executor.execute(replace(attempt.assignment, held=held), attempt.emit)

    async def _fetch(self, assignment: Assignment) -> None:
        """Have all that an attempt needs; then this host can run it.

        Raises:
            HostError, OSError: it cannot be had.
        """
        if self.lease.over(self._clock()):
            raise HostError(LAPSED)
        folder = self._folder(assignment)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in assignment.files:
            self.contents.place(file.name, await self._files.path(file, self._want))
        await self._begun.wait()

    def _want(self, sha256: str) -> None:
        if self.link is not None:  # else it is asked for when there is one
            self.link.say(FleetKind.WANT, 0, sha256)

    def _folder(self, assignment: Assignment) -> Path:
        """Of its artifacts.

        Raises:
            WireError: it is none of a run.
        """
        pure = PurePosixPath(assignment.folder)
        outside = pure.is_absolute() or ".." in pure.parts or "\0" in assignment.folder
        if outside or len(pure.parts) < 2 or pure.parts[0] != "cases":
            raise WireError(f"{assignment.folder!r} is no folder of an attempt")
        return self.artifacts / pure

    def _deliver(self, attempt: HostedAttempt) -> None:
        """Hand it in, if there is a link."""
        if attempt.delivery is not None:
            attempt.delivery.cancel()
        if self.link is not None:
            attempt.delivery = asyncio.create_task(self._hand_in(attempt, self.link))

    async def _hand_in(self, attempt: HostedAttempt, link: Link) -> None:
        assert attempt.result is not None  # noqa: S101 - who calls has looked
        kind, body = attempt.result
        number = attempt.number
        with contextlib.suppress(ConnectionError):  # it is asked for again
            try:
                if isinstance(body, Ended) and body.attempt is not None:
                    for part in parts_of(self._folder(attempt.assignment)):
                        await link.say_much(FleetKind.PART, number, part)
                link.say(kind, number, body)
            except ConnectionError:
                raise
            except OSError as error:
                link.say(FleetKind.LOST, number, Lost(f"its artifacts cannot be read: {error}"))

    def _forget(self, attempt: HostedAttempt) -> None:
        self._attempts.pop(attempt.assignment.token, None)
        self._by_number.pop(attempt.number, None)
        with contextlib.suppress(WireError):  # it never had a folder
            shutil.rmtree(self._folder(attempt.assignment), ignore_errors=True)
