"""What Prometheus asks is answered, where it was said, and from when on."""

import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from matrix.errors import HostError, UsageError
from matrix.run.serving import Server, parse_address

DESCRIPTORS = Path("/proc/self/fd")


@pytest.mark.parametrize("address", [":0", "127.0.0.1:0", "[::1]:0"])
def test_what_is_asked_before_is_answered_once_it_serves(address: str) -> None:
    registry = CollectorRegistry()
    Gauge("answer", "Known.", registry=registry).set(42)
    with Server(address, registry) as server:
        host = f"[{server.host}]" if ":" in server.host else server.host
        with socket.create_connection((server.host, server.port)) as asking:
            asking.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            with server.serving():
                said = b"".join(iter(lambda: asking.recv(4096), b""))
                with urllib.request.urlopen(f"http://{host}:{server.port}/metrics") as reply:
                    assert reply.read() in said
    assert b"answer 42.0\n" in said
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((server.host, server.port))


def test_a_process_that_was_forked_leaves_it_to_its_parent() -> None:
    with Server(":0", CollectorRegistry()) as server:
        before = len(list(DESCRIPTORS.iterdir()))
        server.leave()
        assert len(list(DESCRIPTORS.iterdir())) == before - 1
        with Server(f":{server.port}", CollectorRegistry()):
            pass  # free again


def test_an_address_that_is_taken() -> None:
    registry = CollectorRegistry()
    with Server(":0", registry) as first, pytest.raises(HostError, match="cannot serve metrics on"):
        Server(f":{first.port}", registry).__enter__()


@pytest.mark.parametrize("text", ["", "9464", "127.0.0.1", "host:", "host:port", ":70000", ":٣"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="write ADDR:PORT"):
        parse_address(text)


def test_addresses() -> None:
    assert parse_address("0.0.0.0:9464") == ("0.0.0.0", 9464)
    assert parse_address(":9464") == ("127.0.0.1", 9464)
    assert parse_address("[::1]:9464") == ("::1", 9464)
