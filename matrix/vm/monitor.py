"""One QMP connection over a socketpair: qemu.qmp with deadlines, bounds and one kind of error.

What is added to the library: every wait has a deadline; whatever the peer sends (nothing, garbage,
endless lines, deep nesting, floods of events, an early end) comes out as
:class:`~matrix.errors.MonitorError`; events go to a callback and are stored nowhere, whereas the
library's own queue grows for ever; and every message can be recorded.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qemu.qmp import (
    ExecInterruptedError,
    ExecuteError,
    Message,
    QMPClient,
    QMPError,
    Runstate,
    StateError,
)

from matrix.errors import MonitorError
from matrix.vm.tasks import put_off_cancellation

MESSAGE_LIMIT = 8 << 20
"""Bytes of one message: ``query-qmp-schema``, the longest that QEMU 11.1 sends, has 0.3 MiB."""
COMMAND_TIMEOUT = 20.0
"""Seconds that a command may take where the caller names no time: a loaded host is slow."""
CLOSE_TIMEOUT = 2.0
YIELD_EVERY = 32
"""Messages after which a peer that never pauses lets the other guests have their turn."""

EventCallback = Callable[[str, Mapping[str, Any], float], None]
"""Gets an event's name, its ``data``, and when it happened (Unix time, by QEMU's stamp), in the
order in which QEMU sent them."""
Recorder = Callable[[str, bytes], None]
"""Gets ``>`` (to QEMU) or ``<`` (from QEMU) and one message as it goes over the wire."""

_LOGGER = "matrix"
# The library logs every failure that it also raises, and with no logging configured Python prints
# that on stderr, in the middle of the progress display.
logging.getLogger("qemu.qmp.protocol").getChild(_LOGGER).disabled = True

_BROKEN = (
    QMPError,
    OSError,
    EOFError,
    ValueError,  # not UTF-8, a line over the limit, a number of too many digits
    TypeError,  # JSON of another shape than QMP's
    KeyError,
    RecursionError,  # nesting too deep for the JSON parser
    asyncio.QueueFull,  # two replies to one command
    AssertionError,  # qemu.qmp on a refused qmp_capabilities or on a command broken off
)
"""What qemu.qmp lets through, by reading and by feeding it garbage, when the peer misbehaves."""


LOST = (EOFError, OSError, StateError, ExecInterruptedError)
"""Of these, what says no more than that the connection is gone, as it is when QEMU ends."""


def _nothing() -> None:
    pass


def _ignore_reply(_value: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Ahead:
    """A command without arguments that is sent before QEMU has answered anything."""

    command: str
    sent: Callable[[], None] = _nothing
    """Called as it is sent."""
    answered: Callable[[object], None] = _ignore_reply
    """Gets what it returned as QEMU's reply comes, which may be before :meth:`Monitor.connect` is
    over, and all that ever comes; not called of a refusal."""


def _ignore_event(_name: str, _data: Mapping[str, Any], _at: float) -> None:
    pass


class Monitor:
    """An open QMP session. Made by :meth:`connect`, ended by :meth:`close`."""

    def __init__(self, client: "_Client") -> None:
        self._client = client
        self.broken = ""
        """How the peer broke the protocol, where it did; complete after :meth:`close`."""
        self._lost = ""
        """Why the connection was, where that was found out before :meth:`close`."""

    @classmethod
    async def connect(
        cls,
        sock: socket.socket,
        timeout: float,  # noqa: ASYNC109 - expiry is reported as MonitorError, with what was missing
        *,
        on_event: EventCallback = _ignore_event,
        record: Recorder | None = None,
        ahead: Sequence[Ahead] = (),
    ) -> "Monitor":
        """Greet and negotiate (``oob`` where offered) within ``timeout`` seconds.

        ``sock`` is our end of the connection and ours to close from here on, whatever happens. No
        event is missed: ``on_event`` is in place before the first message is read.

        QEMU greets some 12 ms before it serves its monitor. The commands in ``ahead`` are sent
        right behind the negotiation and are there by then, which spares a millisecond of waiting
        for one another. A later :meth:`execute` of the same command takes up the reply if that has
        not come yet, or is a refusal.

        Raises:
            MonitorError: no greeting in time, no QMP, or the peer hung up.
        """
        client = _Client(on_event, record, ahead)
        try:
            async with _deadline("connect", timeout, "QEMU did not greet"):
                await client.connect(sock)
        except _BROKEN as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # Broken off while it negotiates, the library trips over itself (AssertionError).
                sock.close()
                raise asyncio.CancelledError from error
            # The library insists on a session that goes on. One that was over within this very
            # moment stood all the same: what was sent ahead may have ended QEMU.
            if client.runstate is not Runstate.DISCONNECTING:
                sock.close()
                raise MonitorError("connect", _describe(error)) from error
        except BaseException:  # a cancellation too: the socket is ours to close
            sock.close()
            raise
        return cls(client)

    @property
    def alive(self) -> bool:
        """Whether the connection stands: QEMU has neither closed it nor broken the protocol."""
        return self._client.runstate is Runstate.RUNNING

    @property
    def version(self) -> tuple[int, int, int]:
        """QEMU's version, from its greeting; zeros where the greeting has none."""
        greeting = self._client.greeting
        qemu = greeting.QMP.version.get("qemu") if greeting else None
        if not isinstance(qemu, Mapping):
            return (0, 0, 0)
        major, minor, micro = (qemu.get(key) for key in ("major", "minor", "micro"))
        if not (isinstance(major, int) and isinstance(minor, int) and isinstance(micro, int)):
            return (0, 0, 0)
        return (major, minor, micro)

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, object] | None = None,
        timeout: float | None = COMMAND_TIMEOUT,  # noqa: ASYNC109 - expiry is a MonitorError
        *,
        oob: bool = False,
    ) -> Any:
        """Execute a QMP command and return what it returns, JSON as Python objects.

        Args:
            command: its name, see QEMU's QMP reference.
            arguments: its arguments, if any.
            timeout: seconds until the reply must be there; None where the caller sees to that.
            oob: execute out of band: not queued behind a command that hangs.

        Raises:
            MonitorError: refused (``error_class`` is set), connection lost, or no answer in time.
        """
        try:
            if timeout is None:
                return await self._client.execute(command, arguments, oob)
            async with _deadline(command, timeout, "no answer"):
                return await self._client.execute(command, arguments, oob)
        except ExecuteError as error:
            raise MonitorError(command, str(error), error.error_class) from error
        except StateError as error:  # it was lost before, and the client knows why
            self._lost = await self.close()
            why = self._lost or _describe(error)
            raise MonitorError(command, f"connection lost ({why})") from error
        except _BROKEN as error:
            self._blame(error)
            raise MonitorError(command, f"connection lost ({_describe(error)})") from error

    def _blame(self, error: BaseException) -> None:
        """Note an end of the connection that is no mere loss of it."""
        if not isinstance(_cause(error), (*LOST, MonitorError)):
            self.broken = self.broken or _describe(error)

    def sample(self, command: str, answered: Callable[[object], None]) -> None:
        """Send a command that is asked again and again, and return at once.

        ``answered`` gets what it returns as that comes: None where it is refused, and nothing where
        the connection is lost. Neither is recorded. That takes a fraction of the CPU time of
        :meth:`execute`, most of which are tasks that wake one another.
        """
        self._client.sample(command, answered)

    async def send_descriptor(self, name: str, descriptor: int) -> None:
        """Give QEMU a copy of ``descriptor`` under ``name`` (``getfd``); ours stays open.

        Raises:
            MonitorError: as :meth:`execute`.
        """
        try:
            self._client.send_fd_scm(descriptor)
        except _BROKEN as error:
            raise MonitorError("getfd", f"connection lost ({_describe(error)})") from error
        await self.execute("getfd", {"fdname": name})

    async def human(self, command_line: str, timeout: float = COMMAND_TIMEOUT) -> str:  # noqa: ASYNC109 - as execute
        """Execute a command of the human monitor and return the text it prints.

        Raises:
            MonitorError: as :meth:`execute`.
        """
        reply = await self.execute("human-monitor-command", {"command-line": command_line}, timeout)
        if not isinstance(reply, str):
            raise MonitorError("human-monitor-command", "the reply is no text")
        return reply.replace("\r\n", "\n")

    async def wait_closed(self, seconds: float) -> None:
        """Wait until the peer has hung up and all that it said before was taken in, at most so
        long."""
        with contextlib.suppress(TimeoutError):  # so long it was
            async with asyncio.timeout(seconds):
                while self._client.runstate is Runstate.RUNNING:
                    await self._client.runstate_changed()

    async def close(self) -> str:
        """End the session and return why it had ended before, or empty; never raises for that."""
        why, self._lost = self._lost, ""
        if self._client.runstate is Runstate.IDLE:
            return why
        try:
            async with _deadline("close", CLOSE_TIMEOUT, "cannot flush"):
                await self._client.disconnect()
        except (MonitorError, *_BROKEN) as error:
            self._blame(error)
            return _describe(error)
        return ""


class _Client(QMPClient):
    """qemu.qmp's client with our hooks, all at the places that it documents for the purpose."""

    def __init__(
        self,
        on_event: EventCallback,
        record: Recorder | None,
        ahead: Sequence[Ahead],
    ) -> None:
        super().__init__(_LOGGER, readbuflen=MESSAGE_LIMIT)
        self._ahead = ahead
        self._sent: dict[object, str] = {}
        """By command, the id of one that was sent ahead and whose reply nobody has asked for."""
        self._awaited: dict[object, Ahead] = {}
        """By id, what was sent ahead and not answered yet."""
        self._on_event = on_event
        self._record = record
        self._received = 0
        self._samples: dict[str, Callable[[object], None]] = {}
        """By id, who is told of the reply to a sample."""
        self._ending: asyncio.Task[None] | None = None
        """Waits until the library has disconnected."""
        # The default listener keeps every event it accepts for ever: let it accept none.
        self.events.event_filter = self._hear

    async def disconnect(self) -> None:
        try:
            await super().disconnect()
        finally:
            if self._ending is not None and not self._ending.done():
                # Cut off: what the peer has not read by now it never will.
                if self._writer is not None:
                    # Python 3.11 forgets the loop of a transport that flushed while it closed.
                    with contextlib.suppress(AttributeError):
                        self._writer.transport.abort()
                await put_off_cancellation(asyncio.wait((self._ending,)))

    async def _wait_disconnect(self) -> None:
        # Cut off within, the library leaves the error that ended the session in a future that
        # nobody looks at, and asyncio prints it (qemu.qmp 0.0.6, protocol.py). Of two callers, the
        # later one would fail an assertion, as the earlier has cleaned up.
        if self._ending is None:
            self._ending = asyncio.create_task(super()._wait_disconnect())
            self._ending.add_done_callback(_look_at)
        await asyncio.shield(self._ending)

    def _cleanup(self) -> None:
        # It asserts that every command was waited for. Those that were sent ahead need not be.
        for number in self._sent.values():
            self._pending.pop(number, None)
        super()._cleanup()

    def _hear(self, event: Message) -> bool:
        name, data = event["event"], event.get("data")
        self._on_event(str(name), data if isinstance(data, dict) else {}, _stamp(event))
        return False

    # The library's own hooks render each message with indentation, for a log that nobody reads.
    def _cb_outbound(self, msg: Message) -> Message:
        if self._record is not None:
            self._record(">", bytes(msg))
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        if self._record is not None:
            number = msg.get("id")
            if not isinstance(number, str) or number not in self._samples:
                self._record("<", bytes(msg))
        return msg

    async def _send(self, msg: Message) -> None:
        await super()._send(msg)
        if msg.get("execute") != "qmp_capabilities":
            return
        for each in self._ahead:
            message = self.make_execute_msg(each.command)
            message["id"] = number = self._get_exec_id()
            # The reply, and that the connection has ended, may both come before anyone asks.
            self._pending[number] = asyncio.Queue(maxsize=2)
            self._sent[each.command], self._awaited[number] = number, each
            await super()._send(message)
            each.sent()

    async def _issue(self, msg: Message) -> str | None:
        return self._sent.pop(msg.get("execute"), None) or await super()._issue(msg)

    def sample(self, command: str, answered: Callable[[object], None]) -> None:
        if self.runstate is not Runstate.RUNNING or self._writer is None:
            return
        number = self._get_exec_id()
        self._samples[number] = answered
        self._writer.write(b'{"execute":"%s","id":"%s"}' % (command.encode(), number.encode()))

    async def _on_message(self, msg: Message) -> None:
        number = msg.get("id")
        if isinstance(number, str) and (answered := self._samples.pop(number, None)) is not None:
            answered(msg.get("return"))
            return
        if self._awaited and isinstance(number, str) and "event" not in msg:
            each = self._awaited.pop(number, None)
            if each is not None and "return" in msg:
                each.answered(msg["return"])
                # Who executes it from here on means it to be executed once more.
                if self._sent.pop(each.command, None) is not None:
                    del self._pending[number]
                    return
        await super()._on_message(msg)
        self._received += 1
        if self._received % YIELD_EVERY == 0:
            await asyncio.sleep(0)


def _look_at(task: asyncio.Task[None]) -> None:
    """Take note of a task's error, which asyncio prints where nobody does."""
    if not task.cancelled():
        task.exception()


def _stamp(event: Message) -> float:
    """When an event happened by QEMU's clock, which is the host's; now where it does not say."""
    stamp = event.get("timestamp")
    if isinstance(stamp, dict):
        seconds, micro = stamp.get("seconds"), stamp.get("microseconds")
        if isinstance(seconds, int) and isinstance(micro, int) and seconds > 0:
            return seconds + micro / 1e6
    return time.time()


@contextlib.asynccontextmanager
async def _deadline(command: str, seconds: float, what: str) -> AsyncIterator[None]:
    """Turn the expiry of this very deadline, and no other, into a MonitorError."""
    timer = asyncio.timeout(seconds)
    try:
        async with timer:
            yield
    except TimeoutError as error:
        if not timer.expired():
            raise
        raise MonitorError(command, f"{what} within {seconds:g} s") from error


def _cause(error: BaseException) -> BaseException:
    """What qemu.qmp wraps."""
    while isinstance(inner := getattr(error, "exc", None), BaseException):
        error = inner
    return error


def _describe(error: BaseException) -> str:
    """The root cause in a few words: qemu.qmp wraps errors and quotes whole messages."""
    cause = _cause(error)
    if isinstance(cause, EOFError):
        return "QEMU closed the monitor"
    lines = str(cause).splitlines()
    return (lines[0] if lines else type(cause).__name__)[:200]
