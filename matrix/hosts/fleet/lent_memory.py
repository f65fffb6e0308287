"""The memory of a guest that stalled on another host: a QEMU writes it there, and it is fetched.

:class:`Spool` is the host's side, :class:`LentMemory` the one of whoever drives the QEMU. There is
one file at a time for each attempt; it is removed once it is here, or with the attempt's folder.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from matrix.errors import HostError
from matrix.hosts.fleet.link import Link
from matrix.hosts.fleet.messages import CHUNK, FleetKind, Piece, Room
from matrix.results.files import host_errors

MEMORY = "memory.elf"
"""Its name there."""


class Spool:
    """Where a QEMU of this host may write a guest's memory."""

    def __init__(self, number: int, link: Link) -> None:
        self._number = number
        self._link = link
        self._path: Path | None = None

    def lie_in(self, folder: Path) -> None:
        """Be in that folder, the attempt's."""
        self._path = folder / MEMORY

    def room(self, size: int) -> None:
        """Say where ``size`` bytes can be written, if there is room for twice as many."""
        path, why = self._path, "the attempt has no folder"
        if path is not None:
            why = ""
            try:
                path.unlink(missing_ok=True)
                if shutil.disk_usage(path.parent).free < 2 * size:
                    why = "the disk is nearly full"
            except OSError as error:
                why = error.strerror or str(error)
        self._link.say(FleetKind.ROOM, self._number, Room(size, "" if why else str(path), why))

    async def send(self) -> None:
        """Send what was written, and remove it."""
        why = ""
        try:
            if self._path is not None:
                with self._path.open("rb") as file:
                    while data := file.read(CHUNK):
                        piece = Piece(data, last=False)
                        await self._link.say_much(FleetKind.PIECE, self._number, piece)
        except ConnectionError:
            return  # nobody is there any more
        except OSError as error:
            why = error.strerror or str(error)
        finally:
            self.clear()
        self._link.say(FleetKind.PIECE, self._number, Piece(b"", last=True, why=why))

    def clear(self) -> None:
        """Leave nothing."""
        if self._path is not None:
            with contextlib.suppress(OSError):  # it goes with its folder
                self._path.unlink(missing_ok=True)


def _create(path: Path) -> None:
    with host_errors("write", path):
        path.touch(mode=0o600)


class LentMemory:
    """The same file, from here."""

    def __init__(
        self,
        say: Callable[[FleetKind, object], None],
        unless_lost: Callable[["asyncio.Future[Room | None]"], Awaitable[Room | None]],
    ) -> None:
        """``unless_lost`` waits for an answer; raises HostLostError where none will come."""
        self._say = say
        self._unless_lost = unless_lost
        self._answer: asyncio.Future[Room | None] | None = None
        self._path: Path | None = None

    async def room(self, size: int) -> str:
        """See :meth:`matrix.vm.location.Remote.room`."""
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._say(FleetKind.ROOM, Room(size))
        told = await self._unless_lost(answer)
        if told is None or not told.path:
            raise HostError(
                told.why if told is not None else "the host sent memory, and no room for it"
            )
        return told.path

    async def fetch(self, path: Path) -> None:
        """See :meth:`matrix.vm.location.Remote.fetch`."""
        _create(path)
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._path = path
        try:
            self._say(FleetKind.FETCH, None)
            await self._unless_lost(answer)
        finally:
            self._path = None

    def hear(self, told: Room | Piece) -> None:
        """The host has answered."""
        answer = self._answer
        if answer is None or answer.done():
            return
        if isinstance(told, Room):
            answer.set_result(told)
        elif told.why:
            answer.set_exception(HostError(told.why))
        elif told.last:
            answer.set_result(None)
        elif self._path is not None:
            self._append(told.data, self._path, answer)

    def _append(self, data: bytes, path: Path, answer: "asyncio.Future[Room | None]") -> None:
        try:
            with path.open("ab") as file:
                file.write(data)
        except OSError as error:
            answer.set_exception(HostError(error.strerror or str(error)))
