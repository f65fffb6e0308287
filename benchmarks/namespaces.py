"""Hosts in network namespaces, on a bridge in another one, where whoever orchestrates them is."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BRIDGE_ADDRESS = "10.232.77.254"
"""Of whoever is in the bridge's namespace."""


def ip(*words: str) -> None:
    """ip(8).

    Raises:
        CalledProcessError: it refuses.
    """
    subprocess.run(("ip", *words), check=True)


@dataclass(frozen=True)
class BridgePort:
    """What joins a host to the bridge, seen from the bridge's namespace; can be cut."""

    host: str
    prefix: str
    """Of all namespaces."""
    port: int
    """Of the orchestrator."""

    async def start(self) -> None:
        """It is there."""

    async def close(self) -> None:
        """It goes with its namespace."""

    def cut(self) -> None:
        """Nothing passes, and nobody's connections are told."""
        ip("link", "set", _port(self.host), "down")

    def heal(self) -> None:
        """Everything passes again."""
        ip("link", "set", _port(self.host), "up")

    def reset(self) -> None:
        """Connections go on, or are given up by their ends."""

    @property
    def inside(self) -> tuple[str, ...]:
        """The words before a command that is to run on the host."""
        return ("ip", "netns", "exec", f"{self.prefix}{self.host}")


@contextlib.contextmanager
def bridged(hosts: Sequence[str]) -> Iterator[str]:
    """Make the namespaces; gives the prefix of their names, which is also the bridge's.

    Raises:
        CalledProcessError: there can be none.
    """
    prefix = f"matrix-{os.getpid()}"
    try:
        ip("netns", "add", prefix)
        ip("-n", prefix, "link", "set", "lo", "up")
        ip("-n", prefix, "link", "add", "br0", "type", "bridge")
        ip("-n", prefix, "addr", "add", f"{BRIDGE_ADDRESS}/24", "dev", "br0")
        ip("-n", prefix, "link", "set", "br0", "up")
        for number, host in enumerate(hosts, 1):
            space, port = f"{prefix}{host}", _port(host)
            ip("netns", "add", space)
            peer = ("peer", "name", "eth0", "netns", space)
            ip("-n", prefix, "link", "add", port, "type", "veth", *peer)
            ip("-n", prefix, "link", "set", port, "master", "br0", "up")
            address = f"{BRIDGE_ADDRESS.rpartition('.')[0]}.{number}/24"
            ip("-n", space, "addr", "add", address, "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", space, "link", "set", device, "up")
        yield prefix
    finally:
        for space in (*(f"{prefix}{host}" for host in hosts), prefix):
            quiet = subprocess.DEVNULL
            subprocess.run(("ip", "netns", "del", space), stderr=quiet, check=False)


def _port(host: str) -> str:
    return f"port-{host}"
