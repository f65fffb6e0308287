"""A debugger of a guest that is migrated: one socket for gdb, behind it whoever runs the guest.

Once a source has stopped for its switchover, gdb's next ``continue`` would let it run the guest
again, beside the destination: QEMU's gdbstub asks nobody (``gdb_continue`` in gdbstub/). So no
debugger is attached to a source from before ``migrate`` on. A guest that gdb has stopped is not
migrated until gdb lets it run.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

from matrix.errors import MonitorError
from matrix.migration.endpoint import Endpoint

STEP = 0.2
"""Seconds that a guest must run before it is migrated: gdb stops one that it steps at once."""
SETTLING = 3.0
"""Seconds from the loss of a monitor to QEMU's exit and last words (2 s at most)."""
DETACHING = 10.0
"""Seconds that QEMU may take to let its guest go, on a busy host too."""
PIECE = 1 << 16


class GdbRelay:
    """Where gdb connects to, whichever QEMU runs the guest."""

    def __init__(self, socket: Path, tell: Callable[[str], None]) -> None:
        """Args:
        socket: its path, short enough for one; others are made beside it.
        tell: gets what becomes of the debugger, in words.
        """
        self.socket = socket
        self.ready = asyncio.Event()
        """The first QEMU is there, its guest stopped."""
        self._tell = tell
        self._stub: Path | None = None
        """The socket of the gdbstub behind; None while there is none."""
        self._stubs = 0
        self._there = asyncio.Event()
        """There is a stub."""
        self._used = False
        """gdb has connected to this stub."""
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Take gdb's connections for as long as the body takes.

        Raises:
            OSError: the socket cannot be made.
        """
        server = await asyncio.start_unix_server(self._connected, self.socket)
        try:
            yield self
        finally:
            server.close()
            await self._hang_up()
            self.socket.unlink(missing_ok=True)

    async def boot(self, first: Endpoint, over: Callable[[], bool]) -> None:
        """Let gdb reach the first QEMU, and wait until it lets the guest run, or it is over."""
        await self.follow(first)
        self.ready.set()
        await first.board.until(lambda: first.resumed is not None or over(), None)

    async def follow(self, endpoint: Endpoint) -> None:
        """Let gdb reach this QEMU, which runs the guest."""
        self._stubs += 1
        stub = self.socket.with_name(f"stub{self._stubs}.sock")
        name = str(stub).replace(",", ",,").replace("\\", r"\\").replace('"', r"\"")
        try:
            said = await endpoint.monitor.human(f'gdbserver "unix:{name},server=on,wait=off"')
        except MonitorError as error:
            said = str(error)
            await endpoint.settled(SETTLING)
        if stub.exists():
            self._stub, self._used = stub, bool(self._connections)  # gdb may wait for it
            self._there.set()
        elif endpoint.alive:
            self._tell(f"gdb cannot be attached to the guest: {said.strip()}")

    async def leave(self, endpoint: Endpoint, over: Callable[[], bool]) -> None:
        """Wait until the guest runs, and detach gdb; the guest may be ``over`` instead."""
        try:
            if self._used and not await self._runs(endpoint, over):
                return
            stub, self._stub = self._stub, None
            self._there.clear()
            if stub is not None and self._used:
                self._tell("gdb is detached from this QEMU, as the guest leaves it")
                await self._hang_up()
                await detach(stub)
        except (MonitorError, OSError):  # it ends, which is told as its end
            await endpoint.settled(SETTLING)

    async def _runs(self, endpoint: Endpoint, over: Callable[[], bool]) -> bool:
        """Wait until the guest runs for more than a step of gdb; False: it is over."""
        while not over():
            stopped, resumed = endpoint.stopped, endpoint.resumed

            def stops(then: float | None = stopped) -> bool:
                return over() or endpoint.stopped != then

            def goes_on(then: float | None = resumed) -> bool:
                return over() or endpoint.resumed != then

            if not await endpoint.running():
                await endpoint.board.until(goes_on, None)
            elif not await endpoint.board.until(stops, STEP):
                return True
        return False

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One gdb: it waits while the guest is between two QEMUs."""
        try:
            while (stub := self._stub) is None:
                await self._there.wait()
            self._used = True
            theirs, ours = await asyncio.open_unix_connection(stub)
            try:
                pumps = [
                    asyncio.create_task(_pump(*ends)) for ends in ((reader, ours), (theirs, writer))
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
            finally:
                ours.close()
        except OSError:  # its QEMU has ended
            pass
        finally:
            writer.close()

    async def _hang_up(self) -> None:
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # an end that hangs up, too
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()


async def detach(stub: Path) -> None:
    """Take what gdb has left out of a guest, as breakpoints, and let it run.

    QEMU stops the guest for whoever connects, removes all breakpoints where it is asked why that is
    (``?``), also those that KVM has written into the guest's memory, and lets it run at the detach.
    Nothing may be sent after that: each byte would stop the guest again.

    Raises:
        OSError: QEMU ends, or does not answer in time.
    """
    async with asyncio.timeout(DETACHING):
        reader, writer = await asyncio.open_unix_connection(stub)
        try:
            for question, answer in ((b"?", b"$T"), (b"D;1", b"$OK#")):
                writer.write(_packet(question))
                await _until(reader, answer)
        finally:
            writer.close()


def _packet(data: bytes) -> bytes:
    """Of gdb's remote protocol."""
    return b"+$%s#%02x" % (data, sum(data) % 256)


async def _until(reader: asyncio.StreamReader, wanted: bytes) -> None:
    said = b""
    while wanted not in said:
        data = await reader.read(PIECE)
        if not data:
            raise ConnectionError("QEMU hangs up")
        said += data
