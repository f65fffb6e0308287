"""One QMP connection over a socketpair: a client with deadlines, bounds and one kind of error.

Whatever the peer sends (nothing, garbage, endless lines, deep nesting, floods of events, an early
end) comes out as :class:`~matrix.errors.MonitorError`, and every wait has a deadline. Events go to
a callback and are stored nowhere; every message can be recorded.

There are no tasks: the event loop calls us when the socket is readable, and a reply sets the future
that :meth:`Monitor.execute` waits for. Most cases send three commands: a fifth of their CPU time
went into the reader, the writer and the queues of qemu.qmp, which wake one another.

The protocol is QEMU's docs/interop/qmp-spec.rst.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matrix.errors import MonitorError
from matrix.vm.qmp_messages import (
    BrokenProtocolError,
    Message,
    check_reply,
    parse,
    stamp,
    version_of,
)

MESSAGE_LIMIT = 8 << 20
"""Bytes of one message: ``query-qmp-schema``, the longest that QEMU 11.1 sends, has 0.3 MiB."""
CHUNK = 1 << 16
"""Bytes per read."""
COMMAND_TIMEOUT = 20.0
"""Seconds that a command may take where the caller names no time: a loaded host is slow."""
YIELD_EVERY = 32
"""Messages after which a peer that never pauses lets the other guests have their turn."""

EventCallback = Callable[[str, Mapping[str, Any], float], None]
"""Gets an event's name, its ``data``, and when it happened (Unix time, by QEMU's stamp), in the
order in which QEMU sent them."""
Recorder = Callable[[str, bytes], None]
"""Gets ``>`` (to QEMU) or ``<`` (from QEMU) and one message as it goes over the wire."""


def ignore_event(*_arguments: object) -> None:
    """A callback that does nothing."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """A command without arguments that is sent before QEMU has answered anything."""

    command: str
    sent: Callable[[], None] = ignore_event
    """Called as it is sent."""
    answered: Callable[[object], None] = ignore_event
    """Gets what it returned as QEMU's reply comes, which may be before :meth:`Monitor.connect` is
    over; not called of a refusal."""


class Monitor:
    """An open QMP session. Made by :meth:`connect`, ended by :meth:`close`."""

    def __init__(
        self,
        sock: socket.socket,
        on_event: EventCallback,
        record: Recorder,
        ahead: Sequence[Ahead],
        client: str,
    ) -> None:
        self.version = (0, 0, 0)
        """QEMU's, from its greeting; zeros where the greeting has none."""
        self.broken = ""
        """How the peer broke the protocol, where it did."""
        self.ended = ""
        """Why the session is over; empty while it stands."""
        self._finished = ""  # or the last command that QEMU gets
        self._socket = sock
        self._descriptor = sock.fileno()
        """For the event loop, which prints a socket whenever it looks for one that it lacks."""
        self._on_event = on_event
        self._record = record
        self._ahead = ahead
        self._client = client
        self._unread = bytearray()
        self._scanned = 0
        """Bytes of it that hold no end of a line."""
        self._unsent = bytearray()
        self._take: Callable[[Message], None] = self._greeted
        """Takes the next message."""
        self._sent = 0
        self._pending: dict[str, asyncio.Future[Message]] = {}
        """By id, who waits for the reply; cancelled where the session ends before."""
        self._samples: dict[str, Callable[[object], None]] = {}
        """By id, who gets the reply to a sample."""
        self._unanswered: dict[str, Ahead] = {}
        """By id, what was sent ahead and is not answered yet."""
        self._refusals: dict[str, Message] = {}
        """By command, the replies to those sent ahead that were refused, until someone asks."""
        self._loop = asyncio.get_running_loop()
        self._stood: asyncio.Future[bool] = self._loop.create_future()
        """Whether the peer greeted and negotiated, once that is decided."""
        self._over: asyncio.Future[None] = self._loop.create_future()
        sock.setblocking(False)
        self._loop.add_reader(self._descriptor, self._readable)

    @classmethod
    async def connect(
        cls,
        sock: socket.socket,
        timeout: float,  # noqa: ASYNC109 - expiry is reported as MonitorError, with what was missing
        *,
        on_event: EventCallback = ignore_event,
        record: Recorder = ignore_event,
        ahead: Sequence[Ahead] = (),
        client: str = "",
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
        monitor = cls(sock, on_event, record, ahead, client)
        await monitor._established(timeout)
        return monitor

    async def _established(self, seconds: float) -> None:
        try:
            await asyncio.wait((self._stood,), timeout=seconds)
        finally:
            if not self._stood.done():  # it took too long, or we are cancelled
                self._end(f"QEMU did not greet within {seconds:g} s")
        # A session that stood and is over by now is one all the same: what was sent ahead may have
        # ended QEMU.
        if not self._stood.result():
            raise MonitorError("connect", self.ended)

    @property
    def alive(self) -> bool:
        """Whether QEMU takes commands: the connection stands, and it was not told to finish."""
        return not self.ended and not self._finished

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
        reply = self._refusals.pop(command, None)
        if reply is None:
            self._check(command)
            number = self._sent_ahead(command) or self._send(command, arguments, oob=oob)
            reply = await self._reply(number, command, timeout)
        if (error := reply.get("error")) is not None:
            raise MonitorError(command, error["desc"], error["class"])
        return reply["return"]

    def _check(self, command: str) -> None:
        if self.ended:
            raise MonitorError(command, f"connection lost ({self.ended})")
        if self._finished:
            raise MonitorError(command, f"QEMU was told to {self._finished}")

    def finish(self, command: str) -> None:
        """Send a command as the last one: QEMU answers those before it, and gets none after it."""
        if self.alive:
            self._send(command)
            self._finished = command

    def _sent_ahead(self, command: str) -> str | None:
        """The id under which it was sent ahead, if its reply has not come and nobody waits."""
        for number, each in self._unanswered.items():
            if each.command == command and number not in self._pending:
                return number
        return None

    async def _reply(self, number: str, command: str, seconds: float | None) -> Message:
        reply: asyncio.Future[Message] = self._loop.create_future()
        self._pending[number] = reply
        try:
            await asyncio.wait((reply,), timeout=seconds)
        finally:
            self._pending.pop(number, None)
        if reply.done() and not reply.cancelled():
            return reply.result()
        self._check(command)
        raise MonitorError(command, f"no answer within {seconds:g} s")

    def sample(self, command: str, answered: Callable[[object], None]) -> None:
        """Send a command that is asked again and again, and return at once.

        ``answered`` gets what it returns as that comes: None where it is refused, and nothing where
        the connection is lost. Neither is recorded.
        """
        if self.alive:
            number = self._next_id()
            self._samples[number] = answered
            self._write(b'{"execute":"%s","id":"%s"}' % (command.encode(), number.encode()))

    async def send_descriptor(self, name: str, descriptor: int) -> None:
        """Give QEMU a copy of ``descriptor`` under ``name`` (``getfd``); ours stays open.

        Raises:
            MonitorError: as :meth:`execute`.
        """
        self._check("getfd")
        if self._unsent:  # it would overtake them
            raise MonitorError("getfd", "QEMU does not take in what it was sent before")
        try:
            socket.send_fds(self._socket, [b" "], [descriptor])  # blanks are no message
        except OSError as error:
            raise MonitorError("getfd", f"connection lost ({error.strerror})") from error
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
        await asyncio.wait((self._over,), timeout=seconds)

    def close(self) -> None:
        """End the session; idempotent."""
        self._end("it was closed")

    def _end(self, why: str) -> None:
        if self.ended:
            return
        self.ended = why
        self._loop.remove_reader(self._descriptor)
        if self._unsent:
            self._loop.remove_writer(self._descriptor)
        self._socket.close()
        for reply in self._pending.values():
            reply.cancel()
        if not self._stood.done():
            self._stood.set_result(False)
        self._over.set_result(None)

    # -- to QEMU

    def _next_id(self) -> str:
        self._sent += 1
        return f"{self._client}{self._sent}"

    def _send(
        self, command: str, arguments: Mapping[str, object] | None = None, *, oob: bool = False
    ) -> str:
        """Send a command and return its id."""
        number = self._next_id()
        message: Message = {"exec-oob" if oob else "execute": command}
        if arguments is not None:
            message["arguments"] = arguments
        message["id"] = number
        data = json.dumps(message, separators=(",", ":")).encode()
        self._record(">", data)
        self._write(data)
        return number

    def _write(self, data: bytes) -> None:
        if not self._unsent:
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                pass  # all of it waits
            except OSError:
                return  # it has hung up: reading tells, after what it said last
        if data:
            self._unsent += data
            self._loop.add_writer(self._descriptor, self._writable)

    def _writable(self) -> None:
        self._loop.remove_writer(self._descriptor)
        data, self._unsent = bytes(self._unsent), bytearray()
        self._write(data)

    # -- from QEMU

    def _readable(self) -> None:
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:  # reset: it hung up with commands of ours unread
            data = b""
        self._unread += data
        if not data:
            if self._unread:
                self._take_in(bytes(self._unread))
            self._end("QEMU closed the monitor")
        elif not self._worked_off():
            # There may be more for as long as the peer likes: others come first.
            self._loop.remove_reader(self._descriptor)
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self.ended:
            return
        if not self._worked_off():
            self._loop.call_soon(self._go_on)
        elif not self.ended:
            self._loop.add_reader(self._descriptor, self._readable)

    def _worked_off(self) -> bool:
        """Take in :data:`YIELD_EVERY` messages at most; whether there is no other."""
        for _ in range(YIELD_EVERY):
            end = self._unread.find(b"\n", self._scanned) + 1
            if not end:
                self._scanned = len(self._unread)
                if self._scanned > MESSAGE_LIMIT:
                    self._break(f"a message of more than {MESSAGE_LIMIT} bytes")
                return True
            line = bytes(self._unread[:end])
            del self._unread[:end]
            self._scanned = 0
            self._take_in(line)
            if self.ended:
                return True
        return False

    def _take_in(self, line: bytes) -> None:
        try:
            message = parse(line)
            number = message.get("id")
            if isinstance(number, str) and (answered := self._samples.pop(number, None)):
                answered(message.get("return"))
                return
            self._record("<", line)
            if not self._owed_to_another(message):
                self._take(message)
        except BrokenProtocolError as error:
            self._break(str(error))

    def _break(self, how: str) -> None:
        if not self.ended:
            self.broken = how
        self._end(how)

    def _owed_to_another(self, message: Message) -> bool:
        number = message.get("id")
        return isinstance(number, str) and not number.startswith(self._client)

    def _greeted(self, message: Message) -> None:
        if "QMP" not in message:
            raise BrokenProtocolError("a greeting requires 'QMP' member")
        greeting = message["QMP"]
        if not isinstance(greeting, dict):
            raise BrokenProtocolError("'QMP' of a greeting must be a JSON object")
        self.version = version_of(greeting)
        offered = greeting.get("capabilities")
        oob = isinstance(offered, list) and "oob" in offered
        self._take = self._negotiated
        self._send("qmp_capabilities", {"enable": ["oob"]} if oob else {})
        for each in self._ahead:
            self._unanswered[self._send(each.command)] = each
            each.sent()

    def _negotiated(self, message: Message) -> None:
        if "return" not in message:
            raise BrokenProtocolError(f"QEMU refuses to negotiate: {message.get('error')}"[:200])
        self._take = self._heard
        self._stood.set_result(True)

    def _heard(self, message: Message) -> None:
        if (event := message.get("event")) is not None:
            data = message.get("data")
            self._on_event(str(event), data if isinstance(data, dict) else {}, stamp(message))
            return
        number = message.get("id")
        if not isinstance(number, str):
            if "error" in message:  # of no command: it could not be parsed
                raise BrokenProtocolError(
                    f"QEMU reports an error of no command: {message['error']}"[:200]
                )
            return
        if number not in self._unanswered and number not in self._pending:
            return  # late: nobody waits any more
        check_reply(message)  # before they are taken out: all who wait hear of a broken one
        ahead = self._unanswered.pop(number, None)
        waiting = self._pending.pop(number, None)
        if ahead is not None and "return" in message:
            ahead.answered(message["return"])
        if waiting is not None:
            waiting.set_result(message)
        elif ahead is not None and "error" in message:
            self._refusals[ahead.command] = message
