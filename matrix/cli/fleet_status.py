"""``matrix fleet status`` and ``doctor``: every host of a fleet, and what is wrong with it."""

import json as json_module
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.errors import ExitCode, HostError, UsageError
from matrix.hosts.fleet.fleet_file import Member, load_fleet
from matrix.hosts.fleet.fleet_host import FleetHost
from matrix.hosts.fleet.fleet_state import NOTHING, HostState, host_states
from matrix.hosts.fleet.joining import JOIN, Proving, join_fleet
from matrix.hosts.fleet.messages import Look
from matrix.hosts.wanted import Wanted
from matrix.inventory import KvmState
from matrix.model import Architecture
from matrix.results.printable import printable, shown_json

GIB = 2**30
QEMU = "system"
"""The installation that is looked at."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A host of the fleet file, and the machine that has joined as it."""

    member: Member
    kept: HostState
    """What outlives runs."""
    host: FleetHost | None
    why: str
    """Why it has not joined; empty where it has."""

    @property
    def state(self) -> str:
        """In words."""
        parts = [str(self.kept)] if str(self.kept) else []
        return "; ".join([*parts, self.why or ("" if parts else "ready")]).rstrip("; ")

    @property
    def kvm(self) -> str:
        """For which guests KVM is proven, or why it is not."""
        return self._kvm(reasons=True)

    @property
    def kvm_in_short(self) -> str:
        """As :attr:`kvm`, without what a proof that failed has seen."""
        return self._kvm(reasons=False)

    def _kvm(self, *, reasons: bool) -> str:
        if self.host is None:
            return ""
        proofs = self.host.inventory.proofs
        works = [each.architecture.value for each in proofs if each.state is KvmState.WORKS]
        broken = [each for each in proofs if each.state is KvmState.BROKEN]
        bad = [
            f"broken for {each.architecture.value}" + (f": {each.reason}" if reasons else "")
            for each in broken
        ]
        none = self.host.inventory.host.kvm_device or "none"
        return "; ".join([*([f"proven for {', '.join(works)}"] if works else []), *bad]) or none

    @property
    def qemu(self) -> str:
        """The versions of its QEMU, and for how many architectures there is one."""
        binaries = () if self.host is None else self.host.inventory.binaries
        versions = dict.fromkeys(".".join(map(str, each.version)) for each in binaries)
        count = len(binaries)
        return (
            f"{', '.join(versions)} ({count} architecture{'s' * (count != 1)})" if versions else ""
        )

    @property
    def room(self) -> str:
        """What it gives a run."""
        if self.host is None:
            return ""
        capacity = self.host.capacity
        if capacity.jobs is not None:
            return f"{capacity.jobs} jobs"
        return f"{capacity.vcpus} CPUs, {capacity.memory / GIB:.1f} GiB"

    def problems(self) -> Iterator[str]:
        """What keeps it from running cases, or from running them well."""
        if str(self.kept):
            yield str(self.kept)
        if self.host is None:
            yield self.why
            return
        inventory = self.host.inventory
        if not inventory.binaries:
            yield "no QEMU: " + "; ".join(dict.fromkeys(why for *_, why in inventory.missing))
        for qemu, architecture, why in inventory.broken:
            yield f"QEMU {qemu} for {architecture.value}: {why}"
        if not any(each.state is KvmState.WORKS for each in inventory.proofs):
            yield f"no KVM: {self.kvm}"


@dataclass(frozen=True, slots=True)
class View:
    """What is seen of a fleet."""

    hosts: tuple[Seen, ...]
    not_asked: str = ""
    """Why no host could be asked anything; empty where they were."""


def look_at(path: Path, patience: float = JOIN, *, prove: bool = False) -> View:
    """Ask every host that joins what it can run, and read what runs are to leave alone.

    With ``prove`` the embedded guests run on each: a host that fails is quarantined, and one that
    was is trusted again where they pass. Where no host can be asked, as while a run has the
    scheduler's port, there is still what is kept of each.

    Raises:
        UsageError, FleetFileError: the file is wrong.
        HostError: the state cannot be read.
    """
    fleet, states = load_fleet(path), host_states(path)
    words: list[str] = []
    look = Look(tuple(Wanted(QEMU, each, ("",)) for each in Architecture), (), fresh=False)
    hosts: dict[str, FleetHost] = {}
    not_asked = ""
    try:
        proving = Proving.ALL if prove else Proving.NONE
        joined = join_fleet(path, look, on_word=words.append, patience=patience, proving=proving)
        hosts = {host.name: host for host in joined.hosts}
    except UsageError as error:
        not_asked = str(error)
    except HostError as error:
        if not words:  # else each host has said why
            not_asked = str(error)
    why = dict(each.split(": ", 1) for each in words)
    states = host_states(path) if prove else states
    absent = "not asked" if not_asked else "has not joined"
    seen = (
        Seen(
            member,
            states.get(member.name, NOTHING),
            hosts.get(member.name),
            "" if member.name in hosts else why.get(member.name, absent),
        )
        for member in fleet.members
    )
    return View(tuple(seen), not_asked)


def print_status(seen: Sequence[Seen], *, json: bool) -> None:
    """Print a row for each host."""
    if json:
        print(
            shown_json(json_module.dumps({"hosts": [_document(each) for each in seen]}, indent=2))
        )
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in ("Host", "Address", "State", "KVM", "QEMU", "Room"):
        table.add_column(title, no_wrap=title in ("Host", "Room"), overflow="fold")
    for each in seen:
        cells = (
            each.member.name,
            each.member.address,
            each.state,
            each.kvm_in_short,
            each.qemu,
            each.room,
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console(highlight=False).print(table)


def print_problems(seen: Sequence[Seen], *, json: bool) -> ExitCode:
    """Print what is wrong with each host; gives what the command ends with."""
    if json:
        print_status(seen, json=True)
        return ExitCode.ERROR if any(any(each.problems()) for each in seen) else ExitCode.OK
    problems = [(each.member.name, list(each.problems())) for each in seen]
    for name, found in problems:
        for problem in found:
            print(printable(f"{name}: {problem}"))
        if not found:
            print(printable(f"{name}: ready"))
    return ExitCode.ERROR if any(found for _, found in problems) else ExitCode.OK


def _document(seen: Seen) -> dict[str, Any]:
    away, quarantine = seen.kept.away, seen.kept.quarantine
    return {
        "name": seen.member.name,
        "address": seen.member.address,
        "tags": list(seen.member.tags),
        "joined": seen.host is not None,
        "state": seen.state,
        "away": None
        if away is None
        else {
            "kind": away.kind.value,
            "by": away.by,
            "since": away.since,
            "until": away.until,
            "reason": away.reason,
        },
        "quarantine": None
        if quarantine is None
        else {"since": quarantine.since, "reason": quarantine.reason},
        "proven": seen.kept.proven,
        "kvm": seen.kvm,
        "qemu": seen.qemu,
        "room": seen.room,
        "problems": list(seen.problems()),
    }
