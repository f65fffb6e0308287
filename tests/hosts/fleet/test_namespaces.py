"""A host in a network namespace of its own, whose link is cut."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from matrix.errors import HostLostError
from matrix.hosts.fleet.founding import found_fleet
from matrix.hosts.fleet.joining import join_fleet
from matrix.hosts.fleet.messages import Look
from matrix.places import own_command
from tests.hosts.fleet.conftest import FleetLab
from tests.hosts.guest_lab import PATIENCE
from tests.hosts.workers.test_local_workers import gone

TTL = 5.0
"""Seconds; the host is heard of five times in that time."""


def ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True, capture_output=True)


@dataclass
class Namespace:
    """One with a link to ours."""

    name: str
    link: str
    ours: str
    theirs: str

    def make(self) -> None:
        ip("netns", "add", self.name)
        ip(
            "link",
            "add",
            f"{self.link}o",
            "type",
            "veth",
            "peer",
            f"{self.link}t",
            "netns",
            self.name,
        )
        for inside, device, address in ((False, "o", self.ours), (True, "t", self.theirs)):
            words = ("-n", self.name) if inside else ()
            ip(*words, "addr", "add", f"{address}/30", "dev", f"{self.link}{device}")
            ip(*words, "link", "set", f"{self.link}{device}", "up")

    def cut(self) -> None:
        """Nobody's connections are told."""
        ip("-n", self.name, "link", "set", f"{self.link}t", "down")

    def heal(self) -> None:
        ip("-n", self.name, "link", "set", f"{self.link}t", "up")

    def remove(self) -> None:
        # Removing the namespace removes the link, too, but later.
        for words in (("link", "del", f"{self.link}o"), ("netns", "del", self.name)):
            subprocess.run(("ip", *words), check=False, capture_output=True)


@contextlib.contextmanager
def new_namespace(which: str = "") -> Iterator[Namespace]:
    """Of several each has a letter."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces take root and ip(8)")
    number = os.getpid()
    last = 4 * (ord(which) - ord("a")) if which else 0
    network = f"10.{200 + number // 250 % 50}.{number % 250}"
    made = Namespace(
        f"matrix-{number}{which}",
        f"mx{number}{which}",
        f"{network}.{last + 1}",
        f"{network}.{last + 2}",
    )
    try:
        made.make()
    except subprocess.CalledProcessError as error:
        made.remove()
        pytest.skip(f"no network namespace: {error.stderr.decode().strip()}")
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with new_namespace() as made:
        yield made


@pytest.mark.slow  # a lease runs out, with its margin
def test_a_short_cut_heals_and_a_long_one_loses_the_host(
    lab: FleetLab, namespace: Namespace, tmp_path: Path
) -> None:
    lab.recorder("a")
    found_fleet(tmp_path / "lab", {"z1": namespace.theirs}, namespace.ours)
    path = tmp_path / "lab/fleet.yaml"
    path.write_text(path.read_text() + f"lease: {{ttl: {TTL:g}s, margin: 2s}}\n")
    environment = {**os.environ, "MATRIX_CACHE": str(tmp_path / "cache")}
    environment["KVMTOOL"] = lab.inventory.kvmtool
    argv = (*own_command(), "worker", "--fleet", str(path), "--name", "z1")
    worker = subprocess.Popen(("ip", "netns", "exec", namespace.name, *argv), env=environment)

    async def work() -> None:
        (host,) = join_once.hosts
        async with host.open(lab.recorded.run.path, lab.contents) as executor:
            running = asyncio.create_task(lab.attempt(executor, lab.assignment("a")))
            guest = await lab.guest("a")
            namespace.cut()
            await asyncio.sleep(TTL / 5)
            namespace.heal()
            healed = time.monotonic()
            while executor._grant.heard < healed:  # noqa: ASYNC110 - the worker's doing
                await asyncio.sleep(0.01)
            assert not running.done()
            assert guest.is_running()
            namespace.cut()
            with pytest.raises(HostLostError, match="nothing was heard of it for 7 s"):
                await running
            assert gone(guest)

    try:
        join_once = join_fleet(path, Look(()), patience=PATIENCE)
        asyncio.run(work())
    finally:
        worker.terminate()
        worker.wait(PATIENCE)
    assert lab.pids("a") == [lab.pids("a")[0]]
