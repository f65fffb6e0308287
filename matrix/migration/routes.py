"""How the migration stream gets from source to destination: one route per hop and transport.

A route tells the destination where to listen, and knows what to tell the source. What it makes
(sockets, pipes, credentials) it releases when closed; long-lived things are in the chain's private
folder, whose path is short enough for a Unix socket.
"""

import asyncio
import contextlib
import os
import shlex
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_never

from matrix.errors import HostError, MonitorError
from matrix.migrating import Transport
from matrix.migration.credentials import CredentialsFolder, Secrets
from matrix.migration.endpoint import Endpoint
from matrix.vm.location import Landing, Place

LOCALHOST = "127.0.0.1"
TLS_OUTGOING = "matrix-tls-out"
TLS_INCOMING = "matrix-tls-in"
FD_NAME = "matrix-migration"
_REMOVE = "object-del"


class StreamRoute:
    """The way of one hop. ``outgoing`` is the URI for ``migrate``; whoever puts something in
    between (a proxy) changes it after :meth:`listen`."""

    outgoing = ""

    async def listen(self, destination: Endpoint) -> None:
        """Have the destination listen, with ``migrate-incoming``.

        Raises:
            MonitorError: it does not.
            HostError: the host has no sockets, pipes or descriptors left.
        """
        raise NotImplementedError

    async def arrange(self, source: Endpoint) -> None:
        """Set up the source, while :meth:`listen` is under way. Raises as that."""

    async def connect(self, source: Endpoint) -> None:
        """Give the source what it needs of a destination that listens. Raises as that."""

    def close(self) -> None:
        """Release what the route has made; idempotent. The hop is over."""


def route_for(
    transport: Transport, folder: Path, number: int, credentials: CredentialsFolder
) -> StreamRoute:
    """A new route.

    Args:
        transport: which kind.
        folder: a private folder with a short path.
        number: of the hop, for names in the folder.
        credentials: makes what TLS needs, once per chain.

    Raises:
        HostError: the credentials cannot be written.
    """
    match transport:
        case Transport.UNIX:
            return UnixRoute.of_hop(folder, number)
        case Transport.TCP:
            return TcpRoute()
        case Transport.FD:
            return DescriptorRoute()
        case Transport.EXEC:
            return CommandRoute(folder, number)
        case Transport.TLS_PSK:
            return TcpRoute(credentials.psk)
        case Transport.TLS_X509:
            return TcpRoute(credentials.x509)
        case _:
            assert_never(transport)


def route_between(transport: Transport, source: Place, destination: Place) -> StreamRoute:
    """A new route from one host to another.

    Raises:
        MonitorError: there is none by that transport, or from this machine.
    """
    here, there = source.landing, destination.landing
    if here is None or there is None or not transport.between_hosts:
        raise MonitorError("migrate", f"transport {transport.value!r} is one host's only")
    if transport is Transport.TCP:
        return TcpRoute(landing=there)
    common: dict[str, object] = {"qom-type": "tls-creds-x509"}
    secrets = Secrets(
        {**common, "dir": there.credentials, "endpoint": "server"},
        {**common, "dir": here.credentials, "endpoint": "client"},
        there.certificate_name,
    )
    return TcpRoute(secrets, there)


async def migrate_incoming(destination: Endpoint, uri: str) -> None:
    """Have ``destination`` listen. It does so once in its life.

    Raises:
        MonitorError: it does not.
    """
    await destination.execute("migrate-incoming", {"uri": uri})


class UnixRoute(StreamRoute):
    """A Unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.outgoing = f"unix:{path}"

    @classmethod
    def of_hop(cls, folder: Path, number: int) -> "UnixRoute":
        """The socket of that hop, in a private folder."""
        return cls(folder / f"hop-{number}")

    async def listen(self, destination: Endpoint) -> None:
        await migrate_incoming(destination, self.outgoing)

    def close(self) -> None:
        """Remove the socket: a destination that was killed leaves it behind."""
        self._path.unlink(missing_ok=True)


class TcpRoute(StreamRoute):
    """TCP on the loopback, on a port that the kernel chooses, or to another host, on a port of its
    range; with ``secrets``, TLS over it."""

    def __init__(self, secrets: Secrets | None = None, landing: Landing | None = None) -> None:
        self._landing = landing
        self.secrets = secrets
        """May be replaced by others, for one side or both, before :meth:`listen`."""
        self.outgoing = ""
        self.port = 0

    async def listen(self, destination: Endpoint) -> None:
        address, ports = LOCALHOST, "0"
        if (landing := self._landing) is not None:
            address = landing.address
            # QEMU takes the first that is free (inet_listen_saddr in util/qemu-sockets.c).
            ports = f"{landing.first_port},to={landing.last_port}"
        host = f"[{address}]" if ":" in address else address
        orders = []
        if self.secrets is not None:
            settings = {"tls-creds": TLS_INCOMING}
            orders = _credential_orders(TLS_INCOMING, self.secrets.server, settings)
        orders.append(("migrate-incoming", {"uri": f"tcp:{host}:{ports}"}))
        self.port = listening_port(await _in_one_trip(destination, orders, then_ask=True))
        self.outgoing = f"tcp:{host}:{self.port}"

    async def arrange(self, source: Endpoint) -> None:
        if self.secrets is None:
            return
        settings = {"tls-creds": TLS_OUTGOING, "tls-hostname": self.secrets.hostname}
        orders = _credential_orders(TLS_OUTGOING, self.secrets.client, settings)
        await _in_one_trip(source, orders)


class DescriptorRoute(StreamRoute):
    """A socketpair, of which each side gets an end (``getfd``)."""

    def __init__(self) -> None:
        self.outgoing = f"fd:{FD_NAME}"
        self._ends: list[socket.socket] = []

    async def listen(self, destination: Endpoint) -> None:
        try:
            self._ends = list(socket.socketpair())
        except OSError as error:
            raise HostError(f"no socket for a migration: {error.strerror}") from error
        await destination.monitor.send_descriptor(FD_NAME, self._ends[1].fileno())
        self._ends.pop().close()
        await migrate_incoming(destination, f"fd:{FD_NAME}")

    async def connect(self, source: Endpoint) -> None:
        if self._ends:
            await source.monitor.send_descriptor(FD_NAME, self._ends[0].fileno())
            self._ends.pop().close()

    def close(self) -> None:
        while self._ends:
            self._ends.pop().close()


class CommandRoute(StreamRoute):
    """Commands of the shell at both sides (``exec:``), joined by two named pipes.

    One pipe is for the return path: a command that only carries the stream forward would leave the
    destination without a voice. QEMU's sandbox must let it start processes, and only here.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._forth = folder / f"hop-{number}-forth"
        self._back = folder / f"hop-{number}-back"
        forth, back = shlex.quote(str(self._forth)), shlex.quote(str(self._back))
        self.outgoing = f"exec:cat <{back} & exec cat >{forth}"
        self._incoming = f"exec:cat <{forth} & exec cat >{back}"

    async def listen(self, destination: Endpoint) -> None:
        try:
            for path in (self._forth, self._back):
                os.mkfifo(path, 0o600)
        except OSError as error:
            raise HostError(f"cannot make a named pipe: {error.strerror}") from error
        await migrate_incoming(destination, self._incoming)

    def close(self) -> None:
        """Remove the pipes, and let go whoever still waits for the other end of one."""
        for path in (self._forth, self._back):
            with contextlib.suppress(OSError):  # there is no such pipe any more
                os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
            path.unlink(missing_ok=True)


def listening_port(information: dict[str, Any]) -> int:
    """The port in ``query-migrate`` of a destination that listens on TCP.

    Raises:
        MonitorError: it names none.
    """
    for address in information.get("socket-address", ()):
        port = address.get("port") if isinstance(address, dict) else None
        if isinstance(port, str) and port.isdecimal():
            return int(port)
    raise MonitorError("query-migrate", "the destination names no port that it listens on")


Order = tuple[str, Mapping[str, object]]
"""A command and its arguments."""


def _credential_orders(
    name: str, properties: Mapping[str, object], settings: Mapping[str, object]
) -> list[Order]:
    """Create a TLS credentials object, and use it; one of an earlier hop of the same name goes
    first."""
    return [
        (_REMOVE, {"id": name}),
        ("object-add", {**properties, "id": name}),
        ("migrate-set-parameters", settings),
    ]


async def _in_one_trip(
    endpoint: Endpoint, orders: list[Order], *, then_ask: bool = False
) -> dict[str, Any]:
    """Have QEMU do all that, and say then what ``query-migrate`` says, if that is wanted. It does
    one command after the other, and to another host one round trip is enough for all of them.

    Raises:
        MonitorError: it refuses one; that there is no object to be removed is none.
    """
    waits = [endpoint.execute(command, arguments) for command, arguments in orders]
    asks = [endpoint.information()] if then_ask else []
    done = await asyncio.gather(*waits, *asks, return_exceptions=True)
    for (command, _), error in zip(orders, done, strict=False):
        if isinstance(error, BaseException) and command != _REMOVE:
            raise error
    told = done[-1] if then_ask else {}
    return told if isinstance(told, dict) else {}
