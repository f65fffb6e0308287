"""A connection between an orchestrator and an agent: TLS 1.3 with certificates at both ends.

Nothing is sent or listened for without it. Each end has a certificate of the fleet's one authority,
and says which name it expects of the other: a host's key makes nobody an orchestrator.
"""

import asyncio
import contextlib
import socket
import ssl
from asyncio.trsock import TransportSocket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matrix.errors import HostError, HostLostError
from matrix.hosts.fleet.messages import FleetKind, decode, encode
from matrix.hosts.lines import Line

DIAL = 5.0
"""Seconds until one that does not answer is not there."""

LONGEST_LINE = 16 << 20
"""Bytes; twice as many may wait to be read. An attempt with the most subtests that are kept takes
some megabytes."""
KEEPALIVE = {socket.TCP_KEEPIDLE: 20, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
"""Seconds, seconds, and a number: see tcp(7)."""


class StrangerError(HostLostError):
    """TLS with whoever dialled came to nothing."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one end proves who it is with; paths of PEM files."""

    authority: Path
    certificate: Path
    key: Path

    def context(self, *, server: bool) -> ssl.SSLContext:
        """What connections are made with.

        Raises:
            HostError: they cannot be read, or do not belong together.
        """
        purpose = ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT
        context = ssl.SSLContext(purpose)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(self.authority)
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            files = f"{self.authority}, {self.certificate}, {self.key}"
            raise HostError(
                f"the fleet's certificates cannot be used ({files}): {error}"
            ) from error
        return context


def names_of(writer: asyncio.StreamWriter) -> tuple[str, ...]:
    """The names (DNS) in the certificate of the other end."""
    certificate = writer.get_extra_info("peercert") or {}
    return tuple(
        str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"
    )


@dataclass(slots=True, eq=False)
class Link:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    closed: bool = False
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _socket: TransportSocket = field(init=False)

    def __post_init__(self) -> None:
        """Have the kernel find out when nobody is there any more, also while nothing is said, and
        send what is said at once."""
        sock = self._socket = self.writer.get_extra_info("socket")
        # asyncio does so for sockets that name their protocol, which accepted ones do not: the end
        # that listens would wait with a line until the one before is acknowledged, some 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE.items():
            sock.setsockopt(socket.IPPROTO_TCP, option, value)

    def say(self, kind: FleetKind, number: int = 0, body: Any = None) -> None:
        """Send a line; nothing where the connection is gone, which who reads finds out."""
        if not self._gone():
            self.writer.write(encode(kind, number, body))

    async def say_much(self, kind: FleetKind, number: int = 0, body: Any = None) -> None:
        """Send a line when those before have gone.

        Raises:
            ConnectionError: the connection is gone.
        """
        if self._gone():
            raise ConnectionResetError
        self.writer.write(encode(kind, number, body))
        async with self._turn:
            await self.writer.drain()

    def _gone(self) -> bool:
        """Whether nothing goes out any more.

        asyncio says so of a connection that was reset only in the loop's next round; who writes
        much does not wait for that, and each line would be a warning of asyncio's.
        """
        if self.closed or self.writer.is_closing():
            return True
        try:
            self._socket.getpeername()
        except OSError:  # ENOTCONN
            return True
        return False

    @property
    def unsent(self) -> int:
        """Bytes that were said and have not gone yet."""
        return self.writer.transport.get_write_buffer_size()

    async def room(self) -> None:
        """Wait until most of what was said has gone.

        Raises:
            ConnectionError: the connection is gone.
        """
        async with self._turn:
            await self.writer.drain()

    async def hear(self) -> Line[FleetKind] | None:
        """The next line; None when the other end is gone.

        Raises:
            WireError: it breaks the protocol.
        """
        try:
            text = await self.reader.readline()
        except (OSError, ssl.SSLError):
            return None
        except ValueError as error:  # longer than LONGEST_LINE
            raise HostLostError(str(error)) from error
        return decode(text) if text.endswith(b"\n") else None

    def close(self) -> None:
        """Hang up at once; what was said and has not gone yet may be lost."""
        self.closed = True
        with contextlib.suppress(OSError):  # the other end was first
            self.writer.transport.abort()

    async def finish(self, seconds: float) -> None:
        """Hang up when all has gone that was said, or after that time."""
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):  # it is hung up all the same
            async with asyncio.timeout(seconds):
                self.closed = True
                self.writer.close()
                await self.writer.wait_closed()
        self.close()


async def dial(address: str, port: int, name: str, context: ssl.SSLContext) -> Link:
    """Connect to whoever has a certificate of that name.

    Raises:
        HostLostError: nobody is there, or somebody else.
    """
    try:
        async with asyncio.timeout(DIAL):
            reader, writer = await asyncio.open_connection(
                address, port, ssl=context, server_hostname=name, limit=LONGEST_LINE
            )
    except TimeoutError:
        why = f"no answer in {DIAL:g} s"
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not one of {name} in this fleet: {error.verify_message}"
    except OSError as error:
        # One that is reset while TLS begins comes without a word.
        why = error.strerror or str(error) or "it hung up before it had said who it is"
    else:
        return Link(reader, writer)
    raise HostLostError(f"{address}:{port}: {why}")


async def accepted(connection: socket.socket, context: ssl.SSLContext) -> Link:
    """A link with whoever has dialled.

    Raises:
        StrangerError: it has no certificate of our authority, or we none of its, or it does not
            speak TLS at all.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    try:
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, connection, ssl=context, ssl_handshake_timeout=DIAL
        )
    except ssl.SSLError as error:
        raise StrangerError(_why_stranger(error)) from error
    except ConnectionAbortedError as error:
        raise StrangerError(f"it had not said who it is within {DIAL:g} s") from error
    except OSError as error:
        # An agent that does not take our certificate hangs up, too: asyncio drops its alert.
        why = "it hung up before it had said who it is; a worker of ours says why in its log"
        raise StrangerError(why) from error
    return Link(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


def _why_stranger(error: ssl.SSLError) -> str:
    """In words, of which none are the other end's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not one of this fleet: {error.verify_message}"
    *_, alert = (error.reason or "").partition("_ALERT_")
    if alert == "UNKNOWN_CA":
        return "it takes no certificate of this fleet: its TLS alert is unknown ca"
    if alert:
        return f"its TLS alert is {_words(alert)}"
    return f"it speaks no TLS as ours: {_words(error.reason or 'unknown')}"


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")
