"""The hosts of a fleet that are there: each is asked what it can run, before a run is planned."""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
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
from matrix.hosts.fleet.fleet_state import (
    NOTHING,
    Drained,
    HostState,
    host_states,
    note_proof,
    note_quarantine,
)
from matrix.hosts.fleet.gate import Gate, arrival_within
from matrix.hosts.fleet.lease import MARGIN
from matrix.hosts.fleet.link import Credentials
from matrix.hosts.fleet.messages import Accept, FleetKind, Look, Looked
from matrix.hosts.survey import ignore_step
from matrix.plan.health import QuarantineRules
from matrix.plan.schedule import Capacity

JOIN = 5.0
"""Seconds that a host has to join: a worker that runs dials five times a second."""


class Proving(Enum):
    """Which hosts have to prove themselves when they join."""

    NONE = "none"
    DUE = "due"
    """Those that are quarantined, and whose last proof is too old."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class HostNotes:
    """Writes down what becomes of the hosts of a fleet; says so where that cannot be."""

    fleet: Path
    on_word: Callable[[str], None]

    def quarantined(self, host: str, why: str) -> None:
        """A host is not trusted until it was proven again."""
        self._note(lambda: note_quarantine(self.fleet, host, why))

    def proven(self, host: str) -> None:
        """A host is well."""
        self._note(lambda: self._say_trusted(host, note_proof(self.fleet, host)))

    def ages(self) -> dict[str, float]:
        """Seconds since hosts were proven, as far as that is known."""
        now = time.time()
        try:
            states = host_states(self.fleet)
        except HostError:  # nor will it be written, which is said
            return {}
        known = {name: each.proven for name, each in states.items() if each.proven is not None}
        return {name: max(0.0, now - proven) for name, proven in known.items()}

    def _say_trusted(self, host: str, before: HostState) -> None:
        if before.quarantine is not None:
            self.on_word(f"{host}: proven again; was {before.quarantine}")

    def _note(self, note: Callable[[], object]) -> None:
        try:
            note()
        except HostError as error:
            self.on_word(f"the fleet's state is not kept: {error}")


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
    notes: HostNotes
    """What is to outlive the run."""


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
    proving: Proving = Proving.DUE,
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
        proving: which of them have to be proven; one that fails is quarantined.

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
    terms = _terms(fleet, run, patience)
    found = asyncio.run(_look_at(fleet, gate, terms, _looks(fleet, look, proving)))
    notes = HostNotes(path, on_word)
    hosts = []
    for member, (looked, proves) in zip(fleet.members, found, strict=True):
        if isinstance(looked, HostLostError):
            on_word(f"{member.name}: {looked}")
        elif looked.wrong:
            notes.quarantined(member.name, f"its proof failed: {looked.wrong}")
            on_word(f"{member.name}: quarantined, as its proof failed: {looked.wrong}")
        else:
            if proves:
                notes.proven(member.name)
            capacity = _capacity(member, looked.capacity)
            name, inventory, tags = member.name, looked.inventory, member.tags
            hosts.append(FleetHost(name, inventory, capacity, gate, terms, look, on_word, tags))
    if not hosts:
        raise HostError(f"no host of {path} has joined; matrix worker has to run on each")
    return Joined(terms.accept.run, tuple(hosts), fleet.quarantine, Drained(path), notes)


def _terms(fleet: Fleet, run: str, patience: float) -> Terms:
    margin = max(fleet.lease.margin, MARGIN)
    if run:
        patience = max(patience, fleet.lease.ttl + margin)
    accept = Accept(run or secrets.token_hex(8), secrets.token_hex(8), fleet.lease.ttl)
    return Terms(accept, margin, patience)


def _capacity(member: Member, capacity: Capacity) -> Capacity:
    return capacity if member.jobs is None else replace(capacity, jobs=member.jobs)


def _looks(fleet: Fleet, look: Look, proving: Proving) -> list[Look]:
    """What each host is asked."""
    states = {} if proving is Proving.NONE else host_states(fleet.path)
    every, now = fleet.quarantine.prove_every, time.time()
    return [
        replace(
            look,
            prove=proving is Proving.ALL
            or (proving is Proving.DUE and states.get(member.name, NOTHING).is_due(every, now)),
        )
        for member in fleet.members
    ]


async def _look_at(
    fleet: Fleet, gate: Gate, terms: Terms, looks: Sequence[Look]
) -> list[tuple[Looked | HostLostError, bool]]:
    """What each says, and whether it was to prove itself."""
    async with gate.opened():
        found = await asyncio.gather(
            *(_ask(gate, *each, terms) for each in zip(fleet.members, looks, strict=True))
        )
    return [(looked, look.prove) for looked, look in zip(found, looks, strict=True)]


async def _ask(gate: Gate, member: Member, look: Look, terms: Terms) -> Looked | HostLostError:
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
