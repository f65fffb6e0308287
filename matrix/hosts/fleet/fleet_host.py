"""A machine of a fleet as a host of a run, and how it is given cases over a link that may fail.

A link that is down is no loss: the agent joins again, and is asked for the same attempts. A host
is lost when nothing was heard of it for its lease and a margin, or when it says that it ends. Then,
and not before, nothing of it can be running any more, and who waits for an attempt is told.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.errors import HostError, HostLostError
from matrix.hosts.contents import Contents
from matrix.hosts.fleet.gate import FAREWELL, Gate, arrival_within
from matrix.hosts.fleet.hand_over import take
from matrix.hosts.fleet.lease import BEAT, Fence, Grant
from matrix.hosts.fleet.link import Link
from matrix.hosts.fleet.loan import Loan
from matrix.hosts.fleet.messages import (
    CHUNK,
    Accept,
    Chunk,
    FleetKind,
    Join,
    Lend,
    Look,
    Looked,
    Part,
)
from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.hosts.lines import Line
from matrix.hosts.local.executor import not_started
from matrix.hosts.survey import ignore_step
from matrix.inventory import Inventory
from matrix.plan.schedule import Capacity
from matrix.results.directory import RunDirectory
from matrix.vm.tasks import put_off_cancellation

LIVES = 3
"""Times that a host runs an attempt of which it has lost what it had, as where its worker was
killed and started again."""
SILENT = 3 * BEAT
"""Seconds without a word after which a host will hardly answer at once."""
STOOD_STILL = 0.2
"""Seconds for what has come to be read, where this process itself stood still."""

Emit = Callable[[Console | HopDone], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """What all hosts of a run are told."""

    accept: Accept
    margin: float
    """Seconds; see :class:`matrix.hosts.fleet.lease.Grant`."""
    patience: float
    """Seconds that a host has to join."""


@dataclass(frozen=True, slots=True)
class FleetHost:
    """A host that has joined, and said what it can run."""

    name: str
    inventory: Inventory
    capacity: Capacity
    gate: Gate
    terms: Terms
    look: Look
    """What :attr:`inventory` answers."""
    on_word: Callable[[str], None] = ignore_step
    """Told in words what becomes of the link."""
    tags: tuple[str, ...] = ()
    """What the fleet file calls it, beside its name."""

    @asynccontextmanager
    async def open(self, run: Path, contents: Contents) -> AsyncIterator["FleetExecutor"]:
        """See :class:`matrix.hosts.interface.Host`."""
        async with self.gate.opened():
            executor = FleetExecutor(self, RunDirectory(run), contents)
            try:
                await executor.start()
                yield executor
            finally:
                await put_off_cancellation(executor.close())


@dataclass(slots=True)
class _Given:
    """An attempt that the host has."""

    assignment: Assignment
    emit: Emit
    ended: "asyncio.Future[Ended]"
    number: int = 0
    lives: int = LIVES


@dataclass(slots=True)
class FleetExecutor:
    """Runs cases on one host of a fleet."""

    _host: FleetHost
    _run: RunDirectory
    _contents: Contents
    lost: str = ""
    """Why it can run nothing any more; empty where it can."""
    _broken: str = ""
    """How the host broke the protocol: it is lost when its lease is over."""
    _link: Link | None = None
    _incarnation: str = ""
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the host is at our disposal, or lost."""
    _grant: Grant = field(default_factory=lambda: Grant(0.0, 0.0))
    _fence: Fence = field(default_factory=Fence)
    _given: dict[str, _Given] = field(default_factory=dict)
    _files: dict[str, str] = field(default_factory=dict)
    """Names of the files of assignments, by their digests: no others are given away."""
    _sending: "set[asyncio.Task[None]]" = field(default_factory=set)
    _keeping: "asyncio.Task[None] | None" = None
    _loans: dict[int, Loan] = field(default_factory=dict)
    _proofs: "dict[int, asyncio.Future[str]]" = field(default_factory=dict)
    """Those that are waited for, by their numbers."""

    async def start(self) -> None:
        """Wait for the host.

        Raises:
            HostLostError: it does not come.
        """
        terms = self._host.terms
        link, join = await arrival_within(self._host.gate, self._host.name, terms.patience)
        self._grant = Grant(terms.accept.lease, time.monotonic(), terms.margin)
        self._adopt(link, join)
        self._keeping = asyncio.create_task(self._keep(link))
        # What another process of this run has left running there is over by then.
        await self._ready.wait()
        if self.lost:
            raise HostLostError(self.lost)

    async def execute(self, assignment: Assignment, emit: Emit) -> Ended:
        """See :class:`matrix.hosts.interface.Executor`."""
        if self.lost:
            raise HostLostError(self.lost)
        token = assignment.token
        given = _Given(assignment, emit, asyncio.get_running_loop().create_future())
        self._given[token] = given
        self._files.update((file.sha256, file.name) for file in assignment.files)
        self._send(given)
        try:
            await asyncio.wait((given.ended,))
        except asyncio.CancelledError:
            self.cancel(token)
            await put_off_cancellation(asyncio.wait((given.ended,), timeout=FAREWELL))
            raise
        finally:
            del self._given[token]
            if given.ended.done():
                given.ended.exception()  # seen
        return given.ended.result()

    def release(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`."""
        if (given := self._given.get(token)) is not None:
            given.assignment = replace(given.assignment, held=False)
            self._say(FleetKind.RELEASE, given.number)

    def cancel(self, token: str) -> None:
        """See :class:`matrix.hosts.interface.Executor`. Where the host cannot be told, it ends the
        attempt when its lease is over."""
        if (given := self._given.get(token)) is not None:
            self._say(FleetKind.CANCEL, given.number)
            asyncio.get_running_loop().call_later(FAREWELL, _end, given, Ended(None))

    @asynccontextmanager
    async def lend(self, assignment: Assignment, qemus: tuple[str, ...]) -> AsyncIterator[Loan]:
        """See :class:`matrix.hosts.spanning.Lender`."""
        if self.lost:
            raise HostLostError(self.lost)
        number = self._fence.issue(f"loan {assignment.token}")
        terms = self._host.terms
        loan = Loan(
            self._host.name,
            number,
            lambda kind, body: self._say(kind, number, body),
            terms.accept.lease + terms.margin,
        )
        self._loans[number] = loan
        self._files.update((file.sha256, file.name) for file in assignment.files)
        self._say(FleetKind.LEND, number, Lend(assignment, qemus))
        try:
            await loan.lent()
            yield loan
        finally:
            self._say(FleetKind.RETURN, number)
            await put_off_cancellation(loan.over())
            del self._loans[number]

    async def prove(self) -> str:
        """See :class:`matrix.hosts.interface.Provable`."""
        if self.lost:
            raise HostLostError(self.lost)
        number = self._fence.issue("proof")
        proof: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._proofs[number] = proof
        self._ask_for_proof(number)
        try:
            await asyncio.wait((proof,))
        finally:
            del self._proofs[number]
        return proof.result()

    async def close(self) -> None:
        """Have the host end everything, if it can be told."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait((self._keeping,))
        for each in self._sending:
            each.cancel()
        link = self._link
        if link is None:
            return
        link.say(FleetKind.BYE, 0, "")
        # One that hangs or is cut off is not waited for: it ends everything by its lease.
        silent = time.monotonic() - self._grant.heard > SILENT
        with contextlib.suppress(TimeoutError, HostLostError):  # as said above
            async with asyncio.timeout(0 if silent else FAREWELL):
                while (line := await link.hear()) is not None and line.kind is not FleetKind.BYE:
                    pass
        link.close()

    def _say(self, kind: FleetKind, number: int = 0, body: object = None) -> None:
        if self._link is not None:
            self._link.say(kind, number, body)

    def _ask_for_proof(self, number: int) -> None:
        self._say(FleetKind.LOOK, number, replace(self._host.look, fresh=False, prove=True))

    def _send(self, given: _Given) -> None:
        """Have the host run it, or say what it came to."""
        given.number = self._fence.issue(given.assignment.token)
        self._say(FleetKind.EXECUTE, given.number, given.assignment)

    def _send_again(self, given: _Given, why: str) -> None:
        """The host has nothing of it any more."""
        given.lives -= 1
        if not given.lives:
            reason = f"{self._host.name} has lost it {LIVES} times; {why}"
            _end(given, Ended(not_started(given.assignment, reason)))
            return
        try:
            self._run.renew(given.assignment.folder)
        except HostError as error:
            _fail(given, error)
        else:
            self._send(given)

    def _adopt(self, link: Link, join: Join) -> None:
        """Go on over a new link."""
        if self._link is not None:
            self._link.close()
        self._link = link
        self._grant.hear(time.monotonic())
        link.say(FleetKind.ACCEPT, 0, self._host.terms.accept)
        same = join.incarnation == self._incarnation
        self._incarnation = join.incarnation
        if not same or not self._ready.is_set():
            # It has looked before the run was planned.
            link.say(FleetKind.LOOK, 0, replace(self._host.look, fresh=False))
        for number in self._proofs:
            self._ask_for_proof(number)
        for number, loan in self._loans.items():
            loan.lose(self._link_lost())
            link.say(FleetKind.RETURN, number)
        for given in list(self._given.values()):
            if same:
                self._send(given)
            else:
                self._send_again(given, "its worker was started again")

    async def _keep(self, link: Link) -> None:
        """Keep the link until the host is lost."""
        while not self.lost:
            joining = asyncio.create_task(self._host.gate.arrival(self._host.name))
            listening = asyncio.create_task(self._listen(link))
            wanted = False
            try:
                await self._wait_for_news(joining, listening)
                wanted = not self.lost
            finally:
                for each in (joining, listening):
                    each.cancel()
                await asyncio.wait((joining, listening))
                if not joining.cancelled():
                    link, join = joining.result()
                    if wanted:
                        self._adopt(link, join)
                    else:
                        link.close()
        if self._link is not None:
            self._link.close()
            self._link = None
        self._ready.set()
        for given in self._given.values():
            _fail(given, HostLostError(self.lost))
        for loan in self._loans.values():
            loan.lose(HostLostError(f"host {self._host.name} is lost: {self.lost}"))
            loan.end()
        for proof in self._proofs.values():
            if not proof.done():
                proof.set_exception(HostLostError(self.lost))

    async def _wait_for_news(
        self, joining: "asyncio.Task[tuple[Link, Join]]", listening: "asyncio.Task[None]"
    ) -> None:
        """Wait until the agent has joined again, or the host is lost."""
        pending: set[asyncio.Task[tuple[Link, Join]] | asyncio.Task[None]] = {joining, listening}
        while not self.lost and (self._broken or not joining.done()):
            left = self._grant.free_at - time.monotonic()
            if left <= 0:
                await asyncio.sleep(STOOD_STILL)
                if self._grant.free_at <= time.monotonic() and (self._broken or not joining.done()):
                    silent = self._grant.seconds + self._grant.margin
                    self._give_up(self._broken or f"nothing was heard of it for {silent:g} s")
                continue
            if self._broken:  # it is not let in again, but has a lease
                await asyncio.sleep(left)
                continue
            await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if listening.done() and listening in pending:
                pending.remove(listening)
                self._say_down()

    def _say_down(self) -> None:
        if not self.lost:
            self._host.on_word(f"{self._host.name}: {self._broken or 'the link is down'}")
            for loan in self._loans.values():
                loan.lose(self._link_lost())

    def _link_lost(self) -> HostError:
        why = self._broken or "the link is down, over which its QEMUs were driven"
        return HostError(f"host {self._host.name}: {why}")

    def _give_up(self, why: str) -> None:
        self.lost = self.lost or why

    async def _listen(self, link: Link) -> None:
        """Hear what the agent says until the link is gone."""
        try:
            while (line := await link.hear()) is not None:
                self._hear(link, line)
                if self.lost:
                    return
        except HostLostError as error:  # it broke the protocol
            self._broken = str(error)
            link.close()

    def _hear(self, link: Link, line: Line[FleetKind]) -> None:
        match line.kind:
            case FleetKind.BEAT:
                self._grant.hear(time.monotonic())
                link.say(FleetKind.RENEW, 0, line.body)
            case FleetKind.BYE | FleetKind.REFUSED:  # nothing of it runs
                self._give_up(line.body)
            case FleetKind.INVENTORY:
                self._looked(line.number, line.body)
            case FleetKind.WANT:
                sending = asyncio.create_task(self._send_file(link, line.body))
                self._sending.add(sending)
                sending.add_done_callback(self._sending.discard)
            case _ if (loan := self._loans.get(line.number)) is not None:
                loan.hear(line.kind, line.body)
            case _:
                given = self._numbered(line.number)
                if given is not None:
                    self._hear_of(given, line)

    def _looked(self, number: int, looked: Looked) -> None:
        """The host has said what it can run, and perhaps what is wrong with it."""
        if not number:
            self._ready.set()
        elif (proof := self._proofs.get(number)) is not None and not proof.done():
            proof.set_result(looked.wrong)

    def _hear_of(self, given: _Given, line: Line[FleetKind]) -> None:
        match line.kind:
            case FleetKind.CONSOLE | FleetKind.HOP:
                given.emit(line.body)
            case FleetKind.PART:
                self._take(given, line.body)
            case FleetKind.ENDED:
                if self._fence.take(given.assignment.token, line.number):
                    _end(given, line.body)
                    self._say(FleetKind.TAKEN, line.number)
            case FleetKind.LAPSED:
                self._send_again(given, line.body or "its lease was over")
            case FleetKind.LOST:
                _fail(given, HostLostError(line.body.why, line.body.cause))
            case _:
                pass  # what only we say

    def _take(self, given: _Given, part: Part) -> None:
        try:
            take(self._run.path / given.assignment.folder, part)
        except HostLostError:  # it is no artifact: what else does this host say?
            raise
        except HostError as error:
            _fail(given, error)

    def _numbered(self, number: int) -> _Given | None:
        """The attempt of that execution, if it still counts."""
        for given in self._given.values():
            if given.number == number and not given.ended.done():
                return given
        return None

    async def _send_file(self, link: Link, sha256: str) -> None:
        """Send a file that the host does not have."""
        try:
            with self._contents.path(self._files.get(sha256, "")).open("rb") as file:
                while data := file.read(CHUNK):
                    await link.say_much(FleetKind.CHUNK, 0, Chunk(sha256, data, last=False))
            link.say(FleetKind.CHUNK, 0, Chunk(sha256, b"", last=True))
        except ConnectionError:
            pass  # it is asked for again
        except (OSError, HostError) as error:
            link.say(FleetKind.CHUNK, 0, Chunk(sha256, b"", last=True, why=str(error)))


def _end(given: _Given, ended: Ended) -> None:
    if not given.ended.done():
        given.ended.set_result(ended)


def _fail(given: _Given, error: HostError) -> None:
    if not given.ended.done():
        given.ended.set_exception(error)
