"""The hosts of a fleet that are there: each is asked what it can run, before a run is planned."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from matrix.errors import HostError, HostLostError
from matrix.hosts.fleet.fleet_file import (
    CA_CERTIFICATE,
    CERTIFICATE,
    KEY,
    ORCHESTRATOR,
    Fleet,
    Member,
    load_fleet,
)
from matrix.hosts.fleet.fleet_host import FleetHost, Terms
from matrix.hosts.fleet.fleet_state import Drained
from matrix.hosts.fleet.gate import Gate, arrival_within
from matrix.hosts.fleet.lease import MARGIN
from matrix.hosts.fleet.link import Credentials
from matrix.hosts.fleet.messages import Accept, FleetKind, Look, Looked
from matrix.hosts.survey import ignore_step
from matrix.plan.health import QuarantineRules
from matrix.plan.schedule import Capacity

JOIN = 5.0
"""Seconds that a host has to join: a worker that runs dials twice a second."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A fleet at the begin of a run."""

    run: str
    """Names the run to the hosts, also when it is resumed."""
    hosts: tuple[FleetHost, ...]
    """Those that have joined."""
    quarantine: QuarantineRules
    """When one of them gets no more cases."""
    drained: Callable[[], Mapping[str, str]]
    """Those that are, meanwhile, with the reason."""


def credentials_of(fleet: Fleet, name: str) -> Credentials:
    """What the host of that name, or the orchestrator, proves who it is with.

    Raises:
        UsageError: it is not there, or others may read the key.
    """
    folder = fleet.credentials(name)
    return Credentials(folder / CA_CERTIFICATE, folder / CERTIFICATE, folder / KEY)


def join_fleet(
    path: Path,
    look: Look,
    run: str = "",
    on_word: Callable[[str], None] = ignore_step,
    patience: float = JOIN,
    only: Collection[str] | None = None,
) -> Joined:
    """Wait for the hosts of a fleet, and have each say what it can run.

    Args:
        path: the fleet file.
        look: what the cases need.
        run: names the run that is resumed; empty: a new one. What it has left running on hosts
            that do not join any more is over by its lease when this returns.
        on_word: told which hosts have not joined, and why.
        patience: seconds that a host has.
        only: names of the hosts that are asked; None: all.

    Raises:
        UsageError, FleetFileError: the file or the certificates are wrong, or another run uses it.
        HostError: no host has joined.
    """
    fleet = load_fleet(path)
    context = credentials_of(fleet, ORCHESTRATOR).context(server=True)
    names = {member.certificate_name: member.name for member in fleet.members}
    if only is not None:
        fleet = replace(fleet, members=tuple(each for each in fleet.members if each.name in only))
    gate = Gate(fleet.scheduler_address, fleet.scheduler_port, context, names)
    margin = max(fleet.lease.margin, MARGIN)
    if run:
        patience = max(patience, fleet.lease.ttl + margin)
    accept = Accept(run or secrets.token_hex(8), secrets.token_hex(8), fleet.lease.ttl)
    terms = Terms(accept, margin, patience)
    found = asyncio.run(_look_at(fleet, gate, terms, look))
    hosts = []
    for member, looked in zip(fleet.members, found, strict=True):
        if isinstance(looked, HostLostError):
            on_word(f"{member.name}: {looked}")
        else:
            capacity = _capacity(member, looked.capacity)
            name, inventory, tags = member.name, looked.inventory, member.tags
            hosts.append(FleetHost(name, inventory, capacity, gate, terms, look, on_word, tags))
    if not hosts:
        raise HostError(f"no host of {path} has joined; matrix worker has to run on each")
    return Joined(accept.run, tuple(hosts), fleet.quarantine, Drained(path))


def _capacity(member: Member, capacity: Capacity) -> Capacity:
    return capacity if member.jobs is None else replace(capacity, jobs=member.jobs)


async def _look_at(
    fleet: Fleet, gate: Gate, terms: Terms, look: Look
) -> list[Looked | HostLostError]:
    async with gate.opened():
        return await asyncio.gather(*(_ask(gate, member, terms, look) for member in fleet.members))


async def _ask(gate: Gate, member: Member, terms: Terms, look: Look) -> Looked | HostLostError:
    """What a host can run, or why it is not in the run."""
    try:
        link, _ = await arrival_within(gate, member.name, terms.patience)
        link.say(FleetKind.ACCEPT, 0, replace(terms.accept, run=""))
        link.say(FleetKind.LOOK, 0, look)
        try:
            while (line := await link.hear()) is not None:
                if isinstance(line.body, Looked):
                    return _suitable(member, line.body)
                if line.kind is FleetKind.REFUSED:
                    raise HostLostError(line.body)
        finally:
            await link.finish(0.0)
    except HostLostError as error:
        return error
    return HostLostError("it hung up while it looked what it can run")


def _suitable(member: Member, looked: Looked) -> Looked:
    """What it said, if it is the host that the file means.

    Raises:
        HostLostError: it is of another architecture.
    """
    found = looked.inventory.host.architecture
    if member.architecture is not None and found != member.architecture.value:
        wanted = member.architecture.value
        raise HostLostError(f"it is of architecture {found}, and {wanted} in the fleet file")
    return looked
