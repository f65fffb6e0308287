"""Corrupt one byte of a running guest's memory, to see that its proof notices.

QEMU's monitor has no command that writes guest memory, its gdbstub has: it is opened for the
moment, on a unix socket. Packets are those of GDB's remote serial protocol (a chapter of GDB's
manual); ``Qqemu.PhyMemMode`` is QEMU's own (docs/system/gdb.rst), from version 4.1 on.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from matrix.errors import MonitorError
from matrix.migration.folder import LONGEST_PATH, private_folder
from matrix.vm.monitor import Monitor

CHANGED_BITS = 0x55
"""What is flipped: half of the byte's bits, so that no value comes out as it was."""
TIMEOUT = 20.0
"""Seconds for the whole conversation."""
LONGEST_REPLY = 4096
SOCKET = "gdb.sock"
_COMMAND = "gdbserver"
_BYTE = re.compile(r"[0-9a-fA-F]{2}")


async def corrupt(monitor: Monitor, address: int, *, directory: Path) -> None:
    """Flip half of the bits of the byte at a physical address; the guest runs on.

    The guest is paused for the moment in which the gdbstub has a client, so QEMU sends STOP and
    RESUME; a guest that does not run is left alone, as it would run afterwards.

    Args:
        monitor: of the QEMU that runs the guest.
        address: physical, as the guest's machine has it; of RAM.
        directory: where the socket is made while it is needed; it exists and we may write there.
            Where its path is too long for a socket, a private folder has that.

    Raises:
        HostError: no folder for temporary files has a path that is short enough.
        MonitorError: the guest does not run, QEMU has no gdbstub, refuses the address, or does not
            answer.
    """
    status = await monitor.execute("query-status")
    if not (isinstance(status, dict) and status.get("running")):
        raise MonitorError(_COMMAND, f"the guest does not run: {status}")
    try:
        async with asyncio.timeout(TIMEOUT), _gdbstub(monitor, directory) as gdb:
            await _flip(gdb, address)
    except TimeoutError as error:
        raise MonitorError(_COMMAND, f"no answer within {TIMEOUT:g} s") from error
    except (OSError, EOFError) as error:
        raise MonitorError(
            _COMMAND, f"connection lost ({str(error) or type(error).__name__})"
        ) from error


async def _flip(gdb: "_Gdb", address: int) -> None:
    await gdb.demand("Qqemu.PhyMemMode:1", "OK")
    before = await gdb.ask(f"m{address:x},1")
    if not _BYTE.fullmatch(before):  # an error is E and a number, which is hexadecimal, too
        raise MonitorError(_COMMAND, f"nothing at {address:#x}: {before!r}")
    value = int(before, 16) ^ CHANGED_BITS
    await gdb.demand(f"M{address:x},1:{value:02x}", "OK")
    # Read-only memory takes a write without a word.
    await gdb.demand(f"m{address:x},1", f"{value:02x}")
    await gdb.demand("Qqemu.PhyMemMode:0", "OK")
    await gdb.demand("D", "OK")


@contextlib.asynccontextmanager
async def _gdbstub(monitor: Monitor, directory: Path) -> AsyncIterator["_Gdb"]:
    """The gdbstub as long as it is open; afterwards the guest runs, whatever happened."""
    with _socket_in(directory) as path:
        # A comma ends the path in QEMU's option syntax; two stand for one.
        place = _quoted(path.replace(",", ",,"))
        # It prints where it listens: text is no error.
        said = await monitor.human(f'{_COMMAND} "unix:{place},server=on,wait=off"')
        try:
            try:
                reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_REPLY)
            except FileNotFoundError as error:
                raise MonitorError(_COMMAND, said.strip() or "QEMU does not listen") from error
            try:
                yield _Gdb(reader, writer)
            finally:
                writer.close()
        finally:
            if monitor.alive:
                await monitor.human(f"{_COMMAND} none")
                await _resume(monitor)


@contextlib.contextmanager
def _socket_in(directory: Path) -> Iterator[str]:
    """A path for a socket, absolute and not too long; nothing is there before and after."""
    with contextlib.ExitStack() as stack:
        path = str(directory.absolute() / SOCKET)
        if len(os.fsencode(path)) > LONGEST_PATH:
            path = str(stack.enter_context(private_folder()) / SOCKET)
        Path(path).unlink(missing_ok=True)
        try:
            yield path
        finally:
            Path(path).unlink(missing_ok=True)


async def _resume(monitor: Monitor) -> None:
    """Where the conversation broke off before the guest was let go."""
    status = await monitor.execute("query-status")
    if isinstance(status, dict) and status.get("status") in ("paused", "debug"):
        await monitor.execute("cont")


def _quoted(text: str) -> str:
    """For between the quotation marks of a command of the human monitor."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


class _Gdb:
    """One client's end of GDB's remote protocol: a packet, its answer, and so on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def demand(self, packet: str, expected: str) -> None:
        """Raises: MonitorError: any other answer than the expected one."""
        reply = await self.ask(packet)
        if reply != expected:
            raise MonitorError(
                _COMMAND, f"the gdbstub answers {packet!r} with {reply!r}, not {expected!r}"
            )

    async def ask(self, packet: str) -> str:
        """Send a packet and return its answer; stop replies that come in between are left out."""
        self._writer.write(_framed(packet))
        await self._writer.drain()
        while True:
            reply = await self._receive()
            if not reply.startswith(("T", "S")):
                return reply

    async def _receive(self) -> str:
        try:
            await self._reader.readuntil(b"$")
            body = (await self._reader.readuntil(b"#"))[:-1]
        except asyncio.LimitOverrunError as error:
            raise MonitorError(_COMMAND, "the gdbstub sends no packets") from error
        checksum = await self._reader.readexactly(2)
        if checksum.lower() != _checksum(body):
            raise MonitorError(_COMMAND, f"the gdbstub sends a wrong checksum: {body!r}")
        self._writer.write(b"+")
        return body.decode("latin-1")


def _framed(packet: str) -> bytes:
    body = packet.encode("ascii")
    return b"$" + body + b"#" + _checksum(body)


def _checksum(body: bytes) -> bytes:
    return f"{sum(body) & 0xFF:02x}".encode("ascii")
