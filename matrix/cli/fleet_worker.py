"""``matrix worker --fleet``: the agent of a host, in the foreground, or as a unit of systemd."""

import asyncio
import contextlib
import fcntl
import os
import pwd
import shlex
import signal
import sys
from pathlib import Path

from matrix.cli.steps import say
from matrix.hosts.cache import cache_directory
from matrix.hosts.fleet.agent import Agent
from matrix.hosts.fleet.deadline import Deadline
from matrix.hosts.fleet.fleet_file import ORCHESTRATOR, Fleet, load_fleet
from matrix.hosts.fleet.host_proof import what_is_wrong, why_no_room
from matrix.hosts.fleet.joining import credentials_of
from matrix.hosts.fleet.messages import Look, Looked
from matrix.hosts.installations import installations
from matrix.hosts.project import load_settings
from matrix.hosts.survey import take_inventory
from matrix.places import own_command
from matrix.results.files import host_errors
from matrix.run.capacity import capacity_of
from matrix.run.options import Selection
from matrix.vm.location import Landing
from matrix.vm.process import keep_open

UNIT = """\
[Unit]
Description=matrix worker {name}
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command}
Restart=always
RestartSec=1
User={user}
SupplementaryGroups=kvm
NoNewPrivileges=yes
KillMode=mixed

[Install]
WantedBy=multi-user.target
"""


def run_worker(path: Path, name: str, selection: Selection, *, systemd: bool) -> None:
    """Run cases for whoever orchestrates, until SIGTERM or Ctrl-C.

    Raises:
        UsageError, FleetFileError: the file does not have the host, its key is not there, or
            another worker of it runs here.
        HostError: its folder cannot be written.
    """
    fleet = load_fleet(path)
    fleet.member(name)
    if systemd:
        sys.stdout.write(unit(path.absolute(), name, selection))
        return
    folder = cache_directory().parent / "fleet" / name
    with host_errors("create", folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _lock(folder, name)
    asyncio.run(_work(_agent(fleet, name, folder, selection)))


def unit(path: Path, name: str, selection: Selection) -> str:
    """A unit of systemd that runs it as the user who asks, or as ``matrix`` where that is root."""
    words = [*own_command(), "worker", "--fleet", str(path), "--name", name]
    for each in selection.qemu:
        words += ["--qemu", each]
    if selection.host is not None:
        words += ["--host", str(selection.host.absolute())]
    user = pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "matrix"
    return UNIT.format(name=name, command=shlex.join(words), user=user)


def _lock(folder: Path, name: str) -> None:
    """Be the only worker of that name, as long as we or anything that we start live.

    Whoever is started again so knows that nothing of before runs any more.
    """
    with host_errors("open", folder):
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say(f"{name}: waits for the end of its former worker, and of what that had started")
        fcntl.flock(lock, fcntl.LOCK_EX)
    keep_open(lock)


def _agent(fleet: Fleet, name: str, folder: Path, selection: Selection) -> Agent:
    settings = load_settings(selection.host)
    installed = installations(selection.qemu, settings)

    async def look(asked: Look) -> Looked:
        inventory = await take_inventory(
            installed, asked.wanted, files=asked.files, fresh=asked.fresh
        )
        wrong = ""
        if asked.prove:
            wrong = why_no_room(folder) or await what_is_wrong(inventory)
        return Looked(inventory, capacity_of(inventory.host, None), wrong)

    context = credentials_of(fleet, name).context(server=False)
    address, port = fleet.scheduler_address, fleet.scheduler_port
    return Agent(
        name,
        address,
        port,
        ORCHESTRATOR,
        context,
        folder,
        look,
        say,
        Deadline().set,
        _landing(fleet, name),
    )


def _landing(fleet: Fleet, name: str) -> Landing:
    member = fleet.member(name)
    return Landing(
        member.migration_address,
        member.ports.first,
        member.ports.last,
        str(fleet.credentials(name)),
        member.certificate_name,
    )


async def _work(agent: Agent) -> None:
    loop, working = asyncio.get_running_loop(), asyncio.ensure_future(agent.work())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, working.cancel)
    with contextlib.suppress(asyncio.CancelledError):  # by a signal, as asked for
        await working
