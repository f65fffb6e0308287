"""Workers of a fleet as processes of their own, and a run that finds them."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.cli.fleet_worker import unit
from matrix.errors import HostError, HostLostError, UsageError
from matrix.hosts.fleet.fleet_file import load_fleet
from matrix.hosts.fleet.fleet_host import FleetExecutor
from matrix.hosts.fleet.founding import found_fleet
from matrix.hosts.fleet.joining import Joined, join_fleet
from matrix.hosts.fleet.messages import Look
from matrix.places import own_command
from matrix.run.options import Selection
from tests.hosts.fleet.conftest import FleetLab
from tests.hosts.guest_lab import PATIENCE
from tests.hosts.workers.test_local_workers import gone

TTL = 5.0
"""Seconds, of the host that is to be lost: it is heard of five times in that time."""


@pytest.fixture
def address() -> str:
    """On loopback, and no other test's: the fleet file has to name its port."""
    high, low = divmod(os.getpid(), 250)
    return f"127.{high % 250 + 1}.{low + 1}.1"


@pytest.fixture
def fleet(tmp_path: Path, address: str) -> Path:
    """The file of a fleet of z1 and z2, whose leases are long."""
    found_fleet(tmp_path / "lab", {"z1": "127.0.0.1", "z2": "127.0.0.1"}, address)
    path = tmp_path / "lab/fleet.yaml"
    path.write_text(path.read_text() + "lease: {ttl: 10min, margin: 2s}\n")
    return path


class Workers:
    """Processes."""

    def __init__(self, lab: FleetLab, fleet: Path) -> None:
        self._lab, self._fleet = lab, fleet
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        cache, program = self._lab.folder / "cache", self._lab.inventory.kvmtool
        environment = {**os.environ, "MATRIX_CACHE": str(cache), "KVMTOOL": program}
        for name in names:
            argv = (*own_command(), "worker", "--fleet", str(self._fleet), "--name", name)
            self.running[name] = subprocess.Popen(argv, env=environment)

    def stop(self) -> dict[str, int]:
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        return {name: process.wait(PATIENCE) for name, process in self.running.items()}


@pytest.fixture
def workers(lab: FleetLab, fleet: Path) -> Iterator[Workers]:
    found = Workers(lab, fleet)
    yield found
    found.stop()


def joined(fleet: Path) -> Joined:
    return join_fleet(fleet, Look(()), patience=PATIENCE)


@asynccontextmanager
async def opened(
    found: Joined, lab: FleetLab, ttl: float | None = None
) -> AsyncIterator[list[FleetExecutor]]:
    """Both hosts, the first one with a lease of that time."""
    first, second = found.hosts
    if ttl is not None:
        accept = replace(first.terms.accept, lease=ttl)
        first = replace(first, terms=replace(first.terms, accept=accept))
    path, contents = lab.recorded.run.path, lab.contents
    async with first.open(path, contents) as one, second.open(path, contents) as two:
        yield [one, two]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies_or_hangs_takes_its_guests_with_it(
    lab: FleetLab, fleet: Path, workers: Workers, number: signal.Signals
) -> None:
    lab.recorder("a", "b")
    workers.start("z1", "z2")
    found = joined(fleet)
    assert [host.name for host in found.hosts] == ["z1", "z2"]

    async def work() -> None:
        async with opened(found, lab, TTL) as (one, two):
            running = asyncio.create_task(lab.attempt(one, lab.assignment("a")))
            other = asyncio.create_task(lab.attempt(two, lab.assignment("b")))
            guest = await lab.guest("a")
            await lab.guest("b")
            workers.running["z1"].send_signal(number)
            with pytest.raises(HostLostError, match="nothing was heard of it for 7 s"):
                await running
            # Nobody has continued the one that was stopped.
            assert workers.running["z1"].wait(PATIENCE) == -signal.SIGKILL
            assert gone(guest)
            lab.go("b")
            attempt = await other
            assert attempt is not None
            assert attempt.verdict.good

    asyncio.run(work())
    assert workers.stop()["z2"] == 0


def test_one_that_is_started_again_goes_on(lab: FleetLab, fleet: Path, workers: Workers) -> None:
    lab.recorder("a")
    workers.start("z1", "z2")
    found = joined(fleet)

    async def work() -> None:
        async with opened(found, lab) as (one, _):
            running = asyncio.create_task(lab.attempt(one, lab.assignment("a")))
            await lab.guest("a")
            workers.running["z1"].kill()
            workers.running["z1"].wait()
            workers.start("z1")
            await lab.guest("a", 2)
            lab.go("a")
            attempt = await running
            assert attempt is not None
            assert attempt.verdict.good

    asyncio.run(work())
    assert (lab.recorded.run.path / "cases/s.a.interrupted-1").is_dir()


def test_nobody_has_joined(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with pytest.raises(HostError, match=r"no host of .*fleet\.yaml has joined"):
        join_fleet(fleet, Look(()), on_word=said.append, patience=0.0)
    assert said == [f"{name}: it has not joined within 0 s" for name in ("z1", "z2")]


def test_two_runs_at_once_are_told(fleet: Path, address: str) -> None:

    taken = pytest.raises(UsageError, match="Address already in use; it must be an address")
    with socket.create_server((address, load_fleet(fleet).scheduler_port)), taken:
        join_fleet(fleet, Look(()), patience=0.0)


def test_a_unit_of_systemd_runs_it(fleet: Path) -> None:
    text = unit(fleet, "z1", Selection(qemu=("10.0=/opt/qemu",)))
    assert f"-m matrix worker --fleet {fleet} --name z1 --qemu 10.0=/opt/qemu\n" in text
    assert "SupplementaryGroups=kvm\n" in text
