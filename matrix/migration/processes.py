"""The QEMU processes of a guest that is migrated, as hops need them."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from matrix.attempt import Ending
from matrix.errors import HostError, MonitorError
from matrix.migration.clock import HostClock
from matrix.migration.credentials import CredentialsFolder
from matrix.migration.downtime import trace_devices
from matrix.migration.endpoint import Emulator, Endpoint
from matrix.migration.folder import PrivateFolder
from matrix.migration.identity import identity_of
from matrix.migration.strategies import Abilities, abilities
from matrix.model import Launch
from matrix.vm.location import HERE, Place
from matrix.vm.machine import Guest
from matrix.vm.qemu_session import LAST_WORDS, Conclusion
from matrix.vm.tasks import put_off_cancellation


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
    """Starts the processes of a guest as endpoints of hops; the guest owns them."""

    def __init__(
        self,
        guest: Guest,
        clock: HostClock | None = None,
        *,
        explain_downtime: bool = False,
        places: Sequence[Place] = (HERE,),
    ) -> None:
        """``places`` are those where QEMUs are started; each emulator names one."""
        self.guest = guest
        self._places = {place.host: place for place in places}
        self.board = guest.board
        self.clock = clock or HostClock()
        self._explain_downtime = explain_downtime
        self.known_abilities: dict[str, Abilities] = {}
        """Of each emulator that was started, by its key, what it knows of migration."""

    @cached_property
    def folder(self) -> Path:
        """A private folder with a short path, removed with the guest.

        Raises:
            OSError, HostError: as :meth:`PrivateFolder.make`.
        """
        private = PrivateFolder.make()
        self.guest.resources.callback(private.remove)
        return private.path

    @cached_property
    def credentials(self) -> CredentialsFolder:
        """Makes what TLS needs, once. Raises as :attr:`folder`."""
        return CredentialsFolder(self.folder)

    async def start(
        self,
        emulator: Emulator,
        *,
        incoming: bool,
        adapt: Callable[[Launch], Launch] | None = None,
        connect: bool = True,
    ) -> Endpoint:
        """Start a QEMU; one that is ``incoming`` is then ready for ``migrate-incoming``.

        The first one is not: it runs its guest after :meth:`boot`. One that does not answer yet is
        left to :meth:`connect`.

        Raises:
            NotStartedError: it ended, or did not answer.
            OSError, SpawnError: it could not be started.
        """
        launch = emulator.launch if adapt is None else adapt(emulator.launch)
        place = self._places[emulator.host]
        session = await self.guest.start(launch, incoming=incoming, place=place)
        endpoint = Endpoint(emulator, session, self.board, self.clock)
        try:
            if connect:
                await self.connect(endpoint)
        except BaseException as error:  # a cancellation too: no QEMU stays
            if isinstance(error, NotStartedError):
                error.as_asked = launch == emulator.launch
            await put_off_cancellation(self.guest.close(session))
            raise
        session.ended.add_done_callback(lambda ended: self._note_trouble(ended.result()))
        return endpoint

    def _note_trouble(self, conclusion: Conclusion) -> None:
        """A QEMU has ended: where for the host's trouble, neither hop nor guest is to blame."""
        if conclusion.ending is Ending.ERROR:
            self.guest.fail(HostError(conclusion.reason))

    async def connect(self, endpoint: Endpoint) -> None:
        """Connect to its monitor, and learn what its installation knows of migration.

        Raises:
            NotStartedError: it ended, or did not answer.
        """
        emulator = endpoint.emulator
        failed = await endpoint.session.connect(self.guest.limits.start)
        if failed is not None:
            raise NotStartedError(emulator, failed, endpoint.session.errors.lines())
        # Now, when no hop waits for it, and at once: each answer takes a turn of QEMU's main loop.
        _, *done = await asyncio.gather(
            identity_of(endpoint),
            endpoint.outlive_guest(),
            self._learn_abilities(endpoint),
            return_exceptions=True,
        )
        try:
            for error in filter(None, done):
                raise error
            if self._explain_downtime:
                await trace_devices(endpoint)
        except MonitorError as error:
            conclusion = Conclusion(Ending.ERROR, str(error))
            if await endpoint.session.exits_within(LAST_WORDS):  # that says more
                conclusion = await endpoint.session.over()
            raise NotStartedError(emulator, conclusion) from error

    async def _learn_abilities(self, endpoint: Endpoint) -> None:
        if (key := endpoint.emulator.key) not in self.known_abilities:
            self.known_abilities[key] = await _ask_abilities(endpoint)

    async def boot(self, endpoint: Endpoint) -> None:
        """Let the guest of the first one run.

        Raises:
            NotStartedError: it ended, or did not answer.
        """
        failed = await endpoint.session.boot(self.guest.limits.start)
        if failed is not None:
            raise NotStartedError(endpoint.emulator, failed)
        self.guest.runs()


async def _ask_abilities(endpoint: Endpoint) -> Abilities:
    capabilities, parameters = await asyncio.gather(
        endpoint.execute("query-migrate-capabilities"), endpoint.execute("query-migrate-parameters")
    )
    return abilities(capabilities, parameters, endpoint.emulator.modes)
