"""The agent of a host: joins whoever orchestrates, and runs cases for them with the local executor.

It listens nowhere: it dials the orchestrator, which is there while a run is. QEMU is started from
the event loop's thread, as everywhere in this program: the parent-death signal is bound to it.
"""

import asyncio
import secrets
import shutil
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from matrix import __version__
from matrix.errors import HostError, HostLostError
from matrix.hosts.fleet.deadline import now
from matrix.hosts.fleet.file_cache import MOST, FileCache
from matrix.hosts.fleet.lease import Lease, beat_of
from matrix.hosts.fleet.link import Link, dial
from matrix.hosts.fleet.messages import Accept, Chunk, FleetKind, Join, Look, Looked
from matrix.hosts.fleet.tenancy import Tenancy
from matrix.hosts.interface import Assignment
from matrix.hosts.lines import Line, WireError
from matrix.hosts.local.executor import LocalExecutor
from matrix.hosts.survey import ignore_step
from matrix.results.directory import RunDirectory
from matrix.vm.location import Landing
from matrix.vm.tasks import put_off_cancellation

AGAIN = 0.2
"""Seconds after which an orchestrator is dialled again that is not there."""
REFUSED_AGAIN = 10.0
"""Seconds after which one is dialled again that has refused us."""
FAREWELL = 1.0
"""Seconds for what was said last to be sent."""


def no_deadline(_at: float | None) -> None:
    """A deadline that kills nobody."""


class RefusedError(HostLostError):
    """The orchestrator does not take us, and says why."""


@dataclass(slots=True)
class Agent:
    """One host's."""

    name: str
    address: str
    """Of the orchestrator."""
    port: int
    orchestrator: str
    """The name in the orchestrator's certificate."""
    context: ssl.SSLContext
    folder: Path
    """Ours alone: the files of cases, and the artifacts of attempts until they are handed over."""
    look: Callable[[Look], Awaitable[Looked]]
    on_word: Callable[[str], None] = ignore_step
    """Told in words who is joined, and why nobody is."""
    deadline: Callable[[float | None], None] = no_deadline
    """See :meth:`matrix.hosts.fleet.deadline.Deadline.set`."""
    landing: Landing | None = None
    """Where guests of other hosts arrive; None: nowhere."""
    clock: Callable[[], float] = now
    cache_most: int = MOST
    """Bytes of the files of cases that are kept."""
    incarnation: str = field(default_factory=lambda: secrets.token_hex(8))
    _tenancy: Tenancy | None = None
    _said: str = ""

    async def work(self) -> None:
        """Join orchestrators, one after the other, until this is cancelled; leaves nothing."""
        self._cache.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._cache.clear_incoming()
        shutil.rmtree(self._run_folder, ignore_errors=True)
        try:
            while True:
                wait = await self._visit()
                await asyncio.sleep(wait)
        finally:
            if self._tenancy is not None:
                await put_off_cancellation(self._tenancy.close())

    async def _visit(self) -> float:
        """Join, if there is anyone; gives the seconds to wait before that is tried again."""
        try:
            await self._join()
        except RefusedError as error:
            self._say(f"refused: {error}")
            return REFUSED_AGAIN
        except HostLostError as error:
            self._say(f"waits for an orchestrator ({error})")
            return AGAIN
        return 0.0

    @property
    def _cache(self) -> FileCache:
        return FileCache(self.folder / "files", self.cache_most)

    @property
    def _run_folder(self) -> Path:
        return self.folder / "run"

    def _say(self, word: str) -> None:
        """Say what is new."""
        if word != self._said:
            self._said = word
            self.on_word(f"{self.name}: {word}")

    async def _join(self) -> None:
        """Serve an orchestrator until it is gone.

        Raises:
            RefusedError: it does not take us.
            HostLostError: nobody is there.
        """
        link = await dial(self.address, self.port, self.orchestrator, self.context)
        try:
            joined = self.clock()
            link.say(FleetKind.JOIN, 0, Join(__version__, self.name, self.incarnation, joined))
            line = await link.hear()
            if line is None:
                raise HostLostError(f"{self.address}:{self.port}: it hung up")
            if line.kind is FleetKind.REFUSED:
                raise RefusedError(line.body)
            if not isinstance(line.body, Accept):
                raise WireError(f"{line.kind.value} was not expected")
            if line.body.run:
                self._say("runs cases for an orchestrator")
                await self._serve(link, line.body, joined)
            else:
                self._say("is asked what it can run")
                await self._show(link)
        finally:
            link.close()

    async def _show(self, link: Link) -> None:
        """Say what this host can run, as long as somebody is there to hear it."""
        looking: asyncio.Task[Looked | None] | None = None
        try:
            while (line := await link.hear()) is not None:
                if isinstance(line.body, Look) and looking is None:
                    looking = asyncio.create_task(self._look(link, line.number, line.body))
                    looking.add_done_callback(partial(_hang_up, link))
        finally:
            if looking is not None:
                looking.cancel()
                await put_off_cancellation(asyncio.wait((looking,)))
        if looking is not None and not looking.cancelled():
            looking.result()

    async def _look(self, link: Link, number: int, asked: Look) -> Looked | None:
        """Look what this host can run, and say so, or why that cannot be said."""
        try:
            looked = await self.look(asked)
        except (HostError, OSError) as error:
            link.say(FleetKind.REFUSED, 0, f"it cannot say what it can run: {error}")
            return None
        link.say(FleetKind.INVENTORY, number, looked)
        return looked

    async def _begin(self, tenancy: Tenancy, link: Link, number: int, asked: Look) -> None:
        """Be ready for attempts. That may take long, and leases are renewed meanwhile."""
        looked = await self._look(link, number, asked)
        if looked is not None and not looked.wrong:
            run = RunDirectory(tenancy.artifacts)
            tenancy.begin(LocalExecutor(looked.inventory, run, tenancy.contents))

    async def _serve(self, link: Link, accept: Accept, joined: float) -> None:
        """Run cases; ``joined`` is the time that the orchestrator has heard of."""
        tenancy = await self._tenancy_of(accept)
        tenancy.renew(joined)
        tenancy.attach(link)
        beats = asyncio.create_task(self._beat(link, accept.lease))
        ends = asyncio.create_task(self._hang_up(link, tenancy.lease))
        try:
            while (line := await link.hear()) is not None:
                if line.kind is FleetKind.BYE:
                    self._tenancy = None
                    await tenancy.close()
                    self._say("the run is over for it")
                    link.say(FleetKind.BYE, 0, "")
                    await link.finish(FAREWELL)
                    return
                self._do(tenancy, link, line)
            self._say("has lost its orchestrator; what runs is ended if it stays away")
        except asyncio.CancelledError:
            await put_off_cancellation(self._leave(tenancy, link))
            raise
        finally:
            tenancy.detach(link)
            for each in (beats, ends):
                each.cancel()

    async def _tenancy_of(self, accept: Accept) -> Tenancy:
        """That of the run; what another process has started for it is ended."""
        tenancy = self._tenancy
        if tenancy is not None and tenancy.run == accept.run:
            if tenancy.orchestrator != accept.orchestrator:
                await tenancy.end_running()
                tenancy.orchestrator = accept.orchestrator
            return tenancy
        if tenancy is not None:
            self._tenancy = None
            await tenancy.close()
        self._tenancy = Tenancy(
            accept, self._run_folder, self._cache, self.clock, self.deadline, self.landing
        )
        return self._tenancy

    def _do(self, tenancy: Tenancy, link: Link, line: Line[FleetKind]) -> None:
        body, number = line.body, line.number
        if line.kind is FleetKind.RENEW:
            tenancy.renew(body)
        elif isinstance(body, Look):
            tenancy.do(self._begin(tenancy, link, number, body))
        elif isinstance(body, Assignment):
            tenancy.execute(number, body)
        elif isinstance(body, Chunk):
            tenancy.take_chunk(body)
        elif line.kind is FleetKind.RELEASE:
            tenancy.release(number)
        elif line.kind is FleetKind.CANCEL:
            tenancy.cancel(number)
        elif line.kind is FleetKind.TAKEN:
            tenancy.taken(number)
        else:
            tenancy.lendings.do(link, line)

    async def _beat(self, link: Link, lease: float) -> None:
        while True:
            link.say(FleetKind.BEAT, 0, self.clock())
            await asyncio.sleep(beat_of(lease))

    async def _hang_up(self, link: Link, lease: Lease) -> None:
        """End a link over which nothing comes for half a lease: a new one may still be in time."""
        while True:
            half_over = lease.until - lease.seconds / 2
            if (left := half_over - self.clock()) <= 0:
                return link.close()
            await asyncio.sleep(left)

    async def _leave(self, tenancy: Tenancy, link: Link) -> None:
        self._tenancy = None
        await tenancy.close()
        link.say(FleetKind.BYE, 0, "its worker was stopped")
        await link.finish(FAREWELL)


def _hang_up(link: Link, looked: "asyncio.Task[Looked | None]") -> None:
    """Nobody is to wait for what a bug of ours keeps from being said."""
    if not looked.cancelled() and looked.exception() is not None:
        link.close()
