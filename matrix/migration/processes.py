"""The QEMU processes of one case: started, spoken to through one set of logs, and all ended."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from matrix.attempt import Ending
from matrix.errors import HostError, MonitorError
from matrix.migration.board import Board
from matrix.migration.clock import HostClock
from matrix.migration.console import JoinedConsole, Voice
from matrix.migration.credentials import CredentialsFolder
from matrix.migration.endpoint import Emulator, Endpoint
from matrix.migration.folder import PrivateFolder
from matrix.migration.identity import identity_of
from matrix.migration.strategies import Abilities, abilities
from matrix.model import Launch
from matrix.vm.logs import Logs
from matrix.vm.session import LAST_WORDS, Conclusion, Session
from matrix.vm.tasks import put_off_cancellation

ENDING_AT_ONCE = 4
"""Processes that may be on their way out while the next hop is made."""

OnConsole = Callable[[bytes, float], None]
"""Gets bytes of the guest's console and when they came, by :class:`HostClock`."""


class NotStartedError(HostError):
    """A QEMU did not come up; ``conclusion`` says how it ended, ``stderr_tail`` what it said."""

    def __init__(
        self, emulator: Emulator, conclusion: Conclusion, stderr_tail: tuple[str, ...] = ()
    ) -> None:
        self.emulator = emulator
        self.conclusion = conclusion
        self.stderr_tail = stderr_tail
        self.as_asked = True
        """Its command line is the case's own, without what a fault did to it."""
        super().__init__(f"QEMU {emulator.label} did not start: {conclusion.reason}")


class Processes:
    """Starts QEMUs and owns them; an asynchronous context that ends them all.

    ``joined`` is the guest's one console, ``folder`` a private folder with a short path.
    """

    def __init__(
        self,
        directory: Path,
        log_bytes: int,
        start_seconds: float,
        on_console: OnConsole,
        clock: HostClock | None = None,
    ) -> None:
        self.directory = directory
        self.clock = clock or HostClock()
        self.board = Board()
        self.started = 0
        """How many there have been."""
        self.on_hand_over: Callable[[], None] = _nothing
        self.last_output = time.monotonic()
        """When the guest has printed something last."""
        self._log_bytes = log_bytes
        self._start_seconds = start_seconds
        self._on_console = on_console
        self._logs: Logs | None = None
        self.known_abilities: dict[str, Abilities] = {}
        """Of each installation that was started, what it knows of migration."""
        self._voices: dict[Endpoint, Voice] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self.failure: Exception | None = None
        """What the host, or ``on_console``, raised where there was no caller to raise it to."""

    @property
    def silence(self) -> float:
        """Seconds since the guest has printed anything, or has been booted."""
        return time.monotonic() - self.last_output

    async def __aenter__(self) -> Self:
        """Open the logs and make the folder.

        Raises:
            OSError: one cannot be made.
        """
        self._private = PrivateFolder.make()
        self.folder = self._private.path
        try:
            self._logs = Logs(self.directory, self._log_bytes)
        except OSError:
            self._private.remove()
            raise
        self.credentials = CredentialsFolder(self.folder)
        self.joined = JoinedConsole(self._output, lambda: self.on_hand_over())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all of them and store the last of their output.

        Raises:
            OSError: that cannot be stored.
            HostError: one survives SIGKILL.
        """
        try:
            for task in self._ending:
                task.cancel()
            # They close what they end; none may be closed twice at the same time.
            ended = await put_off_cancellation(
                asyncio.gather(*self._ending, return_exceptions=True)
            )
            closing = [endpoint.session.close() for endpoint in self._voices]
            results = ended + await put_off_cancellation(
                asyncio.gather(*closing, return_exceptions=True)
            )
        finally:
            self._voices.clear()
            self._private.remove()
            if self._logs is not None:
                self._logs.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def start(
        self,
        emulator: Emulator,
        *,
        incoming: bool,
        adapt: Callable[[Launch], Launch] | None = None,
        connect: bool = True,
    ) -> Endpoint:
        """Start a QEMU; one that is ``incoming`` is then ready for ``migrate-incoming``.

        The first one is not: it has the word on the console, and runs its guest after :meth:`boot`.
        One that does not answer yet is left to :meth:`connect`.

        Raises:
            NotStartedError: it ended, or did not answer.
            OSError, SpawnError: it could not be started.
        """
        self.started += 1
        voice = self.joined.voice()
        session = Session(self.directory, voice.take, logs=self._logs, name=f"qemu-{self.started}")
        voice.drain = session.drain
        endpoint = Endpoint(emulator, session, self.board, self.clock)
        self._voices[endpoint] = voice
        if not incoming:
            self.joined.begin(voice)
        launch = emulator.launch if adapt is None else adapt(emulator.launch)
        try:
            while len(self._ending) >= ENDING_AT_ONCE:
                await asyncio.wait(self._ending, return_when=asyncio.FIRST_COMPLETED)
            await session.start(launch, self._log_bytes, typing=True, incoming=incoming)
            if connect:
                await self.connect(endpoint)
        except NotStartedError as error:
            error.as_asked = launch == emulator.launch
            await put_off_cancellation(self._close(endpoint))
            raise
        except BaseException:  # a cancellation too: no QEMU stays
            await put_off_cancellation(self._close(endpoint))
            raise
        session.ended.add_done_callback(lambda ended: self._heed(ended.result()))
        return endpoint

    def _heed(self, conclusion: Conclusion) -> None:
        """A QEMU has ended: where for the host's trouble, neither hop nor guest is to blame."""
        if conclusion.ending is Ending.ERROR:
            self.fail(HostError(conclusion.reason))

    async def connect(self, endpoint: Endpoint) -> None:
        """Connect to its monitor, and learn what its installation knows of migration.

        Raises:
            NotStartedError: it ended, or did not answer.
        """
        emulator = endpoint.emulator
        failed = await endpoint.session.connect(self._start_seconds)
        if failed is not None:
            raise NotStartedError(emulator, failed, endpoint.session.errors.lines())
        await identity_of(endpoint)  # now, when no hop waits for it
        if emulator.name in self.known_abilities:
            return
        try:
            self.known_abilities[emulator.name] = await _ask_abilities(endpoint)
        except MonitorError as error:
            conclusion = Conclusion(Ending.ERROR, str(error))
            if await endpoint.session.exits_within(LAST_WORDS):  # that says more
                conclusion = await asyncio.shield(endpoint.session.ended)
            raise NotStartedError(emulator, conclusion) from error

    async def boot(self, endpoint: Endpoint) -> None:
        """Let the guest of one that is not incoming run.

        Raises:
            NotStartedError: it ended, or did not answer.
        """
        self.last_output = time.monotonic()
        failed = await endpoint.session.boot(self._start_seconds)
        if failed is not None:
            raise NotStartedError(endpoint.emulator, failed)

    def expect(self, destination: Endpoint) -> None:
        """The guest is about to go there: its console is the next to have the word."""
        self.joined.expect(self._voices[destination])

    def keep(self, source: Endpoint) -> None:
        """The guest stays there."""
        self.joined.keep(self._voices[source])

    def retire(self, endpoint: Endpoint) -> None:
        """Quit one that is no longer needed, without waiting for its end."""
        task = asyncio.create_task(self._end(endpoint))
        self._ending.add(task)
        task.add_done_callback(self._ended)

    async def _end(self, endpoint: Endpoint) -> None:
        try:
            await endpoint.quit()
        finally:
            await put_off_cancellation(self._close(endpoint))

    async def _close(self, endpoint: Endpoint) -> None:
        await endpoint.session.close()
        self._voices.pop(endpoint, None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error if isinstance(error, Exception) else HostError(str(error)))

    def fail(self, error: Exception) -> None:
        """Something failed where there was no caller to raise it to; the first one counts."""
        self.failure = self.failure or error
        self.board.changed()

    def _output(self, data: bytes) -> None:
        self.last_output = time.monotonic()
        if self._logs is not None:
            self._logs.console.write(data)
        self._on_console(data, self.clock.time())


async def _ask_abilities(endpoint: Endpoint) -> Abilities:
    capabilities = await endpoint.execute("query-migrate-capabilities")
    parameters = await endpoint.execute("query-migrate-parameters")
    return abilities(capabilities, parameters, endpoint.emulator.modes)


def _nothing() -> None:
    pass
