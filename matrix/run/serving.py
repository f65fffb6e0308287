"""Serves metrics to Prometheus over HTTP, by a thread, and one more for each scrape."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Self
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from matrix.errors import HostError, UsageError

HIGHEST_PORT = 65535


class Server:
    """An address that is taken by ``with``, and answered at during :meth:`serving`.

    Between the two processes can be forked that have no thread, and call :meth:`leave`.
    """

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        """Args:
            address: as :func:`parse_address` takes it; port 0 is any that is free.
            registry: what is served.

        Raises:
            UsageError: ``address`` is not of that form.
        """
        self.host, self.port = parse_address(address)
        self._registry = registry

    def __enter__(self) -> Self:
        """Take the address.

        Raises:
            HostError: it is taken already, or not this host's.
        """
        try:
            family, *_ = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            app = make_wsgi_app(self._registry)
            kind = _IPv6 if family == socket.AF_INET6 else ThreadingWSGIServer
            self._server = make_server(self.host, self.port, app, kind, handler_class=_Silent)
        except OSError as error:
            where = f"{self.host}:{self.port}"
            raise HostError(f"cannot serve metrics on {where}: {error.strerror}") from error
        self.port = self._server.server_port
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer meanwhile."""
        thread = Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()

    def leave(self) -> None:
        """In a process that was forked: the address is its parent's alone."""
        self._server.server_close()


class _IPv6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Scrapes are not told of."""


def parse_address(text: str) -> tuple[str, int]:
    """``ADDR:PORT``, ``[ADDR]:PORT`` for IPv6, or ``:PORT`` for the loopback, as address and port.

    Raises:
        UsageError: it is not of that form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > HIGHEST_PORT:
        raise UsageError(f"--metrics {text!r}: write ADDR:PORT, as in 127.0.0.1:9464")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)
