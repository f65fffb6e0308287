"""A virtual host that runs: its QEMU, the port to its first program, and what its kernel logs."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from matrix.errors import HostError, HostLostError
from matrix.hosts.virtual import protocol
from matrix.hosts.virtual.disk import DEVICE, DISK, copy_content, write_empty
from matrix.hosts.virtual.kernel_log import panic_line
from matrix.hosts.virtual.protocol import (
    Data,
    Decoder,
    Done,
    KernelRecord,
    Message,
    Output,
    ProgramEnded,
    Ready,
    Refused,
)
from matrix.model import ExitChannel, Launch
from matrix.vm.diagnosis import diagnose
from matrix.vm.logs import Logs
from matrix.vm.qemu_session import Session
from matrix.vm.tasks import in_thread, put_off_cancellation

START_SECONDS = 60.0
"""For QEMU to answer on its monitor."""
BOOT_SECONDS = 300.0
"""Until the first program answers: 3 to 10 s of CPU time, on a machine that may be busy."""
ENDING_SECONDS = 10.0
"""Until the end of a QEMU is seen that has closed its port."""
ANSWER_SECONDS = 60.0
"""For a request that takes no time."""
GRACE_SECONDS = 10.0
"""Beyond a program's limit, which the first program sees to."""
LOG_BYTES = 4 << 20
OUTPUT_BYTES = 16 << 20
CHUNK = 1 << 16
WAITING = 256
"""Messages that may wait to be looked at; then the host waits, too."""


Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What came of a program."""

    ended: ProgramEnded | None
    """None where the host was lost, or the program not started."""
    lost: str
    """How the host was lost; empty where it goes on."""
    refused: str
    records: tuple[KernelRecord, ...]
    """What the kernel logged meanwhile."""
    console: bytes = b""
    """What a host that was lost printed last on its own."""
    cancelled: bool = False
    unmet: str = ""
    """What of the host the case needs and has not, for which it was not started; or empty."""


@dataclass(slots=True)
class VirtualGuest:
    """A virtual host that has answered. Made by :func:`started`, which ends it."""

    session: Session
    ready: Ready | None = None
    boot_log: tuple[KernelRecord, ...] = ()
    """What the kernel had logged until then."""
    disk: Path | None = None
    """What its virtual disk is here."""
    _inserted: Path | None = None
    _writer: asyncio.StreamWriter | None = None
    _messages: "asyncio.Queue[Message | HostLostError]" = field(
        default_factory=lambda: asyncio.Queue(WAITING)
    )
    _records: list[KernelRecord] = field(default_factory=list)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _files: set[str] = field(default_factory=set)
    _run: int = 0
    _console: bytearray = field(default_factory=bytearray)

    def console_output(self, data: bytes) -> None:
        """Takes what the host's kernel prints on its console, to find a panic in it."""
        self._console += data
        del self._console[:-CHUNK]

    def fail(self, error: Exception) -> None:
        """The machine fails us where there is no caller to tell: the host is lost."""
        with contextlib.suppress(asyncio.QueueFull):  # its first failure is told
            self._messages.put_nowait(HostLostError(str(error)))

    async def open_port(self, path: Path, seconds: float) -> None:
        """Connect to the first program, and wait until it answers.

        Raises:
            HostLostError: it does not.
        """
        try:
            reader, self._writer = await asyncio.open_unix_connection(str(path))
        except OSError as error:
            why = await self._why_lost(f"its port cannot be opened: {error.strerror}")
            raise HostLostError(why) from error
        self._tasks.append(asyncio.create_task(self._read(reader)))
        self._writer.write(protocol.hello())
        self.ready = await self._expect(Ready, seconds)
        if self.ready.version != protocol.VERSION:
            raise HostLostError(f"its first program speaks version {self.ready.version}")
        self.boot_log = await self.flush_log()

    async def put_file(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Write a file in the host.

        Raises:
            HostLostError: the host is gone, or has no room.
        """
        request = protocol.put_file(path, content, executable=executable)
        await self._done(request, f"it cannot write {path}")

    async def set_file(self, path: str, content: str) -> int:
        """Write to a file of the kernel's; the number of the kernel's error, 0 for none.

        Raises:
            HostLostError: the host is gone.
        """
        await self._send(protocol.put_file(path, content.encode(), executable=False))
        return (await self._expect(Done, ANSWER_SECONDS)).error

    async def read_text(self, path: str) -> str | None:
        """A file's text without blanks around it; None where it cannot be read."""
        content = await self.get_file(path)
        return None if content is None else content.decode("utf-8", "replace").strip()

    async def have_file(self, path: str, content: bytes) -> None:
        """Have a file there, of which ``path`` names the content.

        Raises:
            HostLostError: as :meth:`put_file`.
        """
        if path not in self._files:
            await self.put_file(path, content, executable=True)
            self._files.add(path)

    async def have_disk(self, image: Path) -> None:
        """Have the content of an image mounted.

        Linux forgets what it has read of a disk once nothing of it is mounted, and this QEMU reads
        the file anew: so another content may take its place, also in a host that was saved with
        another one. Seen with QEMU 7.2, 10.0 and 11.1.

        Raises:
            HostLostError: the host is gone, or does not take it.
            OSError: the image cannot be copied.
        """
        if image == self._inserted or self.disk is None:
            return
        if self._inserted is not None:
            self._inserted = None
            await self._done(protocol.unmount(DISK), f"it cannot unmount {DISK}")
        await in_thread(partial(copy_content, image, self.disk))
        await self._done(protocol.mount(DEVICE, DISK, "ext4"), "it cannot mount its disk")
        self._inserted = image

    async def _done(self, request: bytes, failure: str) -> None:
        """Raises HostLostError with ``failure`` where the host reports an error."""
        await self._send(request)
        done = await self._expect(Done, ANSWER_SECONDS)
        if done.error:
            raise HostLostError(f"{failure}: error {done.error}")

    async def get_file(self, path: str) -> bytes | None:
        """A file's content; None where it cannot be read."""
        await self._send(protocol.get_file(path))
        deadline = self.session.loop.time() + ANSWER_SECONDS
        while True:
            answer = await self._next(deadline - self.session.loop.time())
            if isinstance(answer, Data | Done):
                return answer.data if isinstance(answer, Data) else None

    async def reload(self, module: str) -> None:
        """Unload a kernel module and load it again.

        Raises:
            HostLostError: the host is gone, or the module is in use.
        """
        await self._done(protocol.reload(module), f"it cannot reload {module}")

    async def flush_log(self) -> tuple[KernelRecord, ...]:
        """What the kernel has logged since the last time."""
        await self._send(protocol.flush_log())
        await self._expect(Done, ANSWER_SECONDS)
        return self._take_records()

    async def run(
        self,
        words: tuple[str, ...],
        seconds: float,
        on_output: Callable[[bytes], None],
        *,
        cancel: asyncio.Event | None = None,
        output_bytes: int = OUTPUT_BYTES,
    ) -> ProgramResult:
        """Run a program to its end. Nothing that it or the host does raises."""
        self._run += 1
        watching: asyncio.Task[None] | None = None
        try:
            self._records += await self.flush_log()
            self._take_records()
            await self._send(
                protocol.run(self._run, words, seconds=seconds, output_bytes=output_bytes)
            )
            if cancel is not None:
                watching = asyncio.create_task(self._kill_on(cancel))
            return await self._until_end(seconds + GRACE_SECONDS, on_output, cancel)
        except HostLostError as error:
            await self._diagnose()
            records, console = self._take_records(), bytes(self._console)
            return ProgramResult(None, str(error), "", records, console)
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.wait((watching,))

    async def _diagnose(self) -> None:
        """Keep the state of a host that is silent, beside its logs."""
        if self.session.ended.done():
            return

        with contextlib.suppress(HostError, OSError):  # it is lost with or without a diagnosis
            await diagnose(self.session)

    async def _kill_on(self, cancel: asyncio.Event) -> None:
        await cancel.wait()
        await self._send(protocol.kill(self._run))

    async def _until_end(
        self,
        seconds: float,
        on_output: Callable[[bytes], None],
        cancel: asyncio.Event | None,
    ) -> ProgramResult:
        deadline = self.session.loop.time() + seconds
        while True:
            message = await self._next(deadline - self.session.loop.time())
            match message:
                case Output(run, data) if run == self._run:
                    on_output(data)
                case Refused(run, reason) if run == self._run:
                    return ProgramResult(None, "", reason, self._take_records())
                case ProgramEnded() as ended if ended.run == self._run:
                    cancelled = cancel is not None and cancel.is_set()
                    records = self._take_records()
                    return ProgramResult(ended, "", "", records, cancelled=cancelled)
                case _:
                    pass

    def _take_records(self) -> tuple[KernelRecord, ...]:
        records, self._records = tuple(self._records), []
        return records

    async def _send(self, data: bytes) -> None:
        if self._writer is None:
            raise HostLostError("its port is not open")
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as error:
            raise HostLostError(await self._why_lost("it closed its port")) from error

    async def _expect(self, kind: type[Answer], seconds: float) -> Answer:
        deadline = self.session.loop.time() + seconds
        while True:
            message = await self._next(deadline - self.session.loop.time())
            if isinstance(message, kind):
                return message

    async def _next(self, seconds: float) -> Message:
        """The next message that is no record of the log; those are kept.

        Raises:
            HostLostError: none came in time, or the host is gone.
        """
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                while True:
                    message = await self._messages.get()
                    if isinstance(message, HostLostError):
                        raise message
                    if not isinstance(message, KernelRecord):
                        return message
                    self._records.append(message)
        except TimeoutError:
            raise HostLostError(f"it has been silent for {seconds:.0f} s") from None

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = Decoder()
        lost: HostLostError | None = None
        try:
            while data := await reader.read(CHUNK):
                for message in decoder.feed(data):
                    await self._messages.put(message)
        except HostLostError as error:
            lost = error
        except OSError:
            pass  # reset: said below, with what is known of its end
        await self._messages.put(lost or HostLostError(await self._why_lost("it closed its port")))

    async def _why_lost(self, seen: str) -> str:
        """Why the port is closed: QEMU ends a moment later; what was ``seen`` where it does not."""
        await asyncio.wait((self.session.ended,), timeout=ENDING_SECONDS)
        if panic := panic_line(bytes(self._console)):
            return panic
        if not self.session.ended.done():
            return seen
        why = self.session.ended.result()
        last = self.session.errors.last_line() or self.session.console.last_line()
        last = last or "the machine was reset or powered off, and had printed nothing"
        return why.reason or f"its QEMU has ended: {last}"

    async def close(self) -> None:
        """Stop reading; the session is its owner's to close."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):  # reset by an end that came first
                await self._writer.wait_closed()


Loader = Callable[[Session], Awaitable[None]]
"""Brings a QEMU that waits for a state to the one that was saved."""


@contextlib.asynccontextmanager
async def started(
    arguments: Callable[[str, str], tuple[str, ...]], folder: Path, snapshot: Loader | None = None
) -> AsyncIterator[VirtualGuest]:
    """Start a virtual host; when this is left nothing of it runs.

    Args:
        arguments: the command line for the paths of the port's socket and of the disk.
        folder: exists and is empty; gets console.log, qemu.log and qmp.jsonl.
        snapshot: loads the state that it goes on from; None: it boots.

    Raises:
        HostLostError: it does not come up.
        OSError, SpawnError: as :meth:`Session.start`.
    """
    place = Path(tempfile.mkdtemp(prefix="matrix-host-"))
    logs: Logs | None = None

    def open_logs(monitor: bool) -> Logs:
        nonlocal logs
        logs = Logs(folder, LOG_BYTES, monitor=monitor)
        return logs

    def console(data: bytes) -> None:
        if logs is not None:
            logs.console.write(data)
        guest.console_output(data)

    session = Session(folder, console, open_logs, lambda error: guest.fail(error))
    guest = VirtualGuest(session)
    try:
        disk = await in_thread(lambda: write_empty(place / "disk"))
        guest.disk = disk
        launch = Launch(arguments(str(place / "port"), str(disk)), ExitChannel.CONSOLE)
        await session.start(launch, incoming=snapshot is not None)
        begin = session.boot if snapshot is None else session.connect
        if failed := await begin(START_SECONDS):
            raise HostLostError(failed.reason or "its QEMU has ended at once")
        if snapshot is not None:
            await snapshot(session)
        await guest.open_port(place / "port", BOOT_SECONDS if snapshot is None else ANSWER_SECONDS)
        yield guest
    finally:
        await put_off_cancellation(guest.close())
        await put_off_cancellation(session.close())
        if logs is not None:
            logs.close()
        await in_thread(lambda: shutil.rmtree(place, ignore_errors=True))
