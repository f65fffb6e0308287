"""``fleet.yaml``: the hosts of a fleet, how they are reached, and when one is given up.

::

    scheduler: {address: 10.0.0.1, port: 8786}
    lease: {ttl: 10s, margin: 2s}
    hosts:
      z1: {address: 10.0.0.11, arch: s390x, tags: [lpar], jobs: 8}
      a1: {address: a1.lab, migration_address: 192.168.7.2, ports: 49152-49215}

It is read as a scenario is: the same YAML, places and wording, and all problems at once. QEMUs and
builds stay in each host's own host file.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from matrix.errors import FleetFileError, Place, Problem, UsageError
from matrix.model import Architecture
from matrix.plan.decisions import LOCAL
from matrix.plan.health import QuarantineRules
from matrix.scenario import document, values
from matrix.scenario.document import Mapping, node_at
from matrix.scenario.fields import MAX_ENTRIES, Section, Text, annotated, one_or_more
from matrix.scenario.schema import schema_of
from matrix.scenario.units import format_duration, parse_duration
from matrix.scenario.validation import check
from matrix.scenario.values import Shape
from matrix.scenario.wording import Refused, quoted

ORCHESTRATOR = "orchestrator"
"""Names the certificate of the machine that starts runs."""
RESERVED = {
    ORCHESTRATOR: "is the name of the machine that starts runs",
    LOCAL: "is the name of this machine",
    "each": "stands for every host",
    "ca": "is the name of the certificate authority",
}
"""Names that no host may have, and why."""

CA_CERTIFICATE = "ca-cert.pem"
CERTIFICATE = "server-cert.pem"
KEY = "server-key.pem"
"""Files in the folder of a certificate, named as QEMU's ``tls-creds-x509`` wants them."""

PORT = 8786
"""Dask's usual one."""
PORTS = "49152-49215"
"""What libvirt, too, uses for migrations (``migration_port_min`` in qemu.conf)."""
MAX_PORT = 65535
MAX_JOBS = 10_000
MIN_TTL = 2.0
"""Seconds. Of a worker on two CPUs with a load of 12 the longest silence was 0.4 s, where it was to
be heard each 0.25 s (240 times); half of a lease of that time is left for a new link."""
MAX_TTL = 600.0
MIN_OFTEN, MAX_OFTEN = 60.0, 30 * 86400.0
"""Seconds: a proof takes some, and a month is as good as never."""

_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9_-]+)*\.?")
_ADDRESS_SHAPE: Shape = {
    "type": ["string", "number"],
    "pattern": "^[A-Za-z0-9_.:-]+$",
    "maxLength": 253,
}
_PORTS_SHAPE: Shape = {"type": "string", "pattern": "^[0-9]{1,5}-[0-9]{1,5}$"}
_PORT_SHAPE: Shape = {"type": "integer", "minimum": 1, "maximum": MAX_PORT}
_JOBS_SHAPE: Shape = {"type": "integer", "minimum": 1, "maximum": MAX_JOBS}
_COUNT_SHAPE: Shape = {"type": "integer", "minimum": 1, "maximum": 1000}


@dataclass(frozen=True, slots=True)
class Ports:
    """A range of TCP ports, with both ends in it."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Member:
    """A host of a fleet, as the file has it."""

    name: str
    address: str
    """By which the others reach its worker: an IP address or a name."""
    architecture: Architecture | None
    """What it must be; None: whatever it says when it joins."""
    tags: tuple[str, ...]
    jobs: int | None
    """Cases at a time; None: as many as its vCPUs and memory allow."""
    ports: Ports
    """On which its QEMUs listen for migrations."""
    migration_address: str
    """Where they listen."""
    certificate_name: str
    """What its certificate is for: QEMU's ``tls-hostname``."""

    @property
    def called(self) -> tuple[str, ...]:
        """What ``--on`` and the axis ``host`` may call it by."""
        architecture = () if self.architecture is None else (self.architecture.value,)
        return (self.name, *self.tags, *architecture)


@dataclass(frozen=True, slots=True)
class Lease:
    """For how long a host may run cases without a word from the orchestrator."""

    ttl: float
    """Seconds after which it ends its QEMUs, by its own clock."""
    margin: float
    """Seconds that the orchestrator waits longer before it starts a lost case again."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a fleet file says."""

    path: Path
    scheduler_address: str
    scheduler_port: int
    members: tuple[Member, ...]
    lease: Lease
    quarantine: QuarantineRules
    certificates: Path
    """Folder with a folder for each host and for the orchestrator."""

    def member(self, name: str) -> Member:
        """The host of that name.

        Raises:
            UsageError: there is none.
        """
        for member in self.members:
            if member.name == name:
                return member
        known = ", ".join(member.name for member in self.members)
        raise UsageError(f"{self.path}: no host is named {quoted(name)}; there are {known}")

    def credentials(self, name: str) -> Path:
        """The folder with :data:`CA_CERTIFICATE`, :data:`CERTIFICATE` and :data:`KEY` of a host or
        of :data:`ORCHESTRATOR`, which QEMU takes as it is.

        Raises:
            UsageError: one is not there, or others may read the key.
        """
        folder = self.certificates / name
        for each in (CA_CERTIFICATE, CERTIFICATE, KEY):
            try:
                mode = (folder / each).stat().st_mode
            except OSError as error:
                raise UsageError(f"{folder / each}: {error.strerror}; matrix fleet init") from None
            if each == KEY and mode & 0o077:
                raise UsageError(f"{folder / each} can be read by others; chmod 600 it")
        return folder


def parse_address(text: str) -> str:
    """An IP address or a host's name.

    Raises:
        Refused: neither, or the address of no host.
    """
    try:
        address = ipaddress.ip_address(text.replace("%", "/"))  # no zone of this machine
    except ValueError:
        if not _NAME.fullmatch(text) or re.fullmatch(r"[0-9.]+", text):
            allowed = "an IP address or a host's name, without a port"
            raise Refused(f"{quoted(text)} is not an address", allowed) from None
        return text
    if address.is_unspecified or address.is_multicast:
        message = f"{quoted(text)} is not the address of one host"
        raise Refused(message, "the one by which the others reach it")
    return text


def parse_ports(text: str) -> Ports:
    """``FIRST-LAST``.

    Raises:
        Refused: no range of ports.
    """
    match = re.fullmatch("([0-9]{1,5})-([0-9]{1,5})", text)
    if not match or not 1024 <= int(match[1]) <= int(match[2]) <= MAX_PORT:
        message = f"{quoted(text)} is not a range of ports"
        raise Refused(message, f"FIRST-LAST from 1024 to {MAX_PORT}, as in {PORTS}")
    return Ports(int(match[1]), int(match[2]))


def parse_host_name(text: str) -> str:
    """The name of a host of a fleet.

    Raises:
        Refused: no name, or one that stands for something else.
    """
    values.parse_qemu(text)
    if why := RESERVED.get(text):
        raise Refused(f"{quoted(text)} {why}", "give the host another name")
    return text


def _parse_ttl(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < MIN_TTL:
        message = f"{quoted(text)} is too short: a busy host can be silent for half a second"
        raise Refused(message, f"at least {format_duration(MIN_TTL)}")
    if seconds > MAX_TTL:
        raise Refused(f"{quoted(text)} is out of range", f"at most {format_duration(MAX_TTL)}")
    return seconds


def _parse_often(text: str) -> float:
    seconds = parse_duration(text)
    if not MIN_OFTEN <= seconds <= MAX_OFTEN:
        allowed = f"{format_duration(MIN_OFTEN)} to {format_duration(MAX_OFTEN)}"
        raise Refused(f"{quoted(text)} is out of range", f"allowed: {allowed}")
    return seconds


def _parse_margin(text: str) -> float:
    seconds = parse_duration(text)
    if seconds > MAX_TTL:
        message = f"{quoted(text)} is out of range"
        raise Refused(message, f"at most {format_duration(MAX_TTL)}")
    return seconds


Address = Annotated[str, *annotated(parse_address, _ADDRESS_SHAPE)]
Port = Annotated[int, *annotated(values.integer_parser("a port", MAX_PORT), _PORT_SHAPE)]
PortRange = Annotated[Ports, *annotated(parse_ports, _PORTS_SHAPE)]
Arch = Annotated[Architecture, *annotated(values.parse_arch, values.ARCH_SHAPE)]
Tag = Annotated[str, *annotated(values.parse_qemu, values.QEMU_SHAPE)]
Jobs = Annotated[int, *annotated(values.integer_parser("a number of jobs", MAX_JOBS), _JOBS_SHAPE)]
Count = Annotated[int, *annotated(values.integer_parser("a number of cases", 1000), _COUNT_SHAPE)]
Ttl = Annotated[float, *annotated(_parse_ttl, values.DURATION_SHAPE)]
Often = Annotated[float, *annotated(_parse_often, values.DURATION_SHAPE)]
Margin = Annotated[float, *annotated(_parse_margin, values.DURATION_SHAPE)]


class SchedulerSection(Section):
    """Where the orchestrator listens for the workers of the hosts."""

    address: Address = Field(
        description="IP address or name of the machine that starts runs, as the hosts reach it; it "
        "listens on no other."
    )
    port: Port = Field(PORT, description=f"TCP port. Default: {PORT}.")


class LeaseSection(Section):
    """For how long a host may run cases without a word from the orchestrator."""

    ttl: Ttl = Field(
        10.0, description="After so long the host's worker ends its QEMUs. Default: 10s."
    )
    margin: Margin = Field(
        2.0,
        description="So much later the orchestrator starts the lost cases elsewhere. Default: 2s.",
    )


class QuarantineSection(Section):
    """When a host gets no more cases; what runs there goes on."""

    errors: Count = Field(3, description="So many 'error' in a row. Default: 3.")
    failures: Count = Field(
        3, description="So many cases that fail there and pass elsewhere. Default: 3."
    )
    prove_every: Often = Field(
        86400.0,
        description="After so long the embedded guests run on the host again, and it is quarantined"
        " where one fails. Default: 24h.",
    )


class MemberSection(Section):
    """A host."""

    address: Address = Field(
        description="IP address or name, by which the orchestrator and the other hosts reach it."
    )
    arch: Arch | None = Field(
        None, description="Its architecture; a worker of another one is refused."
    )
    tags: Annotated[list[Tag], *one_or_more(values.QEMU_SHAPE)] | None = Field(
        None, description="What --on may call it by, beside its name and its architecture."
    )
    jobs: Jobs | None = Field(
        None, description="Cases at a time. Default: as many as its vCPUs and memory allow."
    )
    ports: PortRange = Field(
        parse_ports(PORTS),
        description=f"TCP ports on which its QEMUs listen for migrations. Default: {PORTS}.",
    )
    migration_address: Address | None = Field(
        None,
        description="Address of the network that migrations use. Default: 'address'.",
    )
    certificate_name: Address | None = Field(
        None, description="The name in its certificate. Default: the host's name."
    )


class FleetSection(Section):
    """The hosts of a fleet."""

    scheduler: SchedulerSection = Field(description=SchedulerSection.__doc__)
    certificates: Text | None = Field(
        None,
        description="Folder with a folder of keys and certificates for each host, as 'matrix fleet "
        "init' makes it, relative to this file. Default: certificates.",
    )
    lease: LeaseSection = Field(LeaseSection(), description=LeaseSection.__doc__)
    quarantine: QuarantineSection = Field(
        QuarantineSection(), description=QuarantineSection.__doc__
    )
    hosts: Annotated[dict[str, MemberSection], Field(min_length=1, max_length=MAX_ENTRIES)] = Field(
        description="The hosts by name."
    )


def fleet_schema() -> dict[str, Any]:
    """The JSON Schema of a fleet file, for editors."""
    return schema_of(FleetSection, "matrix fleet")


def load_fleet(path: Path) -> Fleet:
    """Read a fleet file.

    Raises:
        UsageError: it cannot be read.
        FleetFileError: its content is wrong; all problems at once.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    return read_fleet(data, path)


def read_fleet(data: bytes, path: Path) -> Fleet:
    """What ``data`` says, which was read from ``path``.

    Raises:
        FleetFileError: it is wrong; all problems at once.
    """
    root, found = document.parse_document(data, str(path))
    problems = list(found)
    section = None
    if root is not None:
        section, findings = check(root, FleetSection)
        problems += [finding.problem for finding in findings if finding.problem]
        problems += _naming_problems(root)
    if problems or section is None:
        raise FleetFileError(dict.fromkeys(problems))
    return Fleet(
        path,
        section.scheduler.address,
        section.scheduler.port,
        tuple(_member(name, host) for name, host in section.hosts.items()),
        Lease(section.lease.ttl, section.lease.margin),
        QuarantineRules(
            section.quarantine.errors, section.quarantine.failures, section.quarantine.prove_every
        ),
        (path.parent / (section.certificates or "certificates")).absolute(),
    )


def _member(name: str, section: MemberSection) -> Member:
    return Member(
        name,
        section.address,
        section.arch,
        tuple(section.tags or ()),
        section.jobs,
        section.ports,
        section.migration_address or section.address,
        section.certificate_name or name,
    )


def _naming_problems(root: document.Node) -> Iterator[Problem]:
    """What is wrong with the names of hosts and tags, by which ``--on`` finds them."""
    hosts = node_at(root, ("hosts",))
    if not isinstance(hosts, Mapping):
        return
    names: dict[str, Place] = {}
    for key, _ in hosts.entries:
        names[key.text] = key.place
        try:
            parse_host_name(key.text)
        except Refused as refused:
            yield Problem(key.place, f"hosts: {refused.message}", refused.allowed)
    for _, host in hosts.entries:
        tags = node_at(host, ("tags",))
        for tag in tags.items if isinstance(tags, document.Sequence) else (tags,):
            if isinstance(tag, document.Scalar) and tag.text in names:
                line = names[tag.text].line
                message = f"tags: {quoted(tag.text)} is the name of a host, at line {line}"
                yield Problem(tag.place, message, "give the tag another name")
