"""What an orchestrator and an agent say to each other. Pure.

::

    agent                       orchestrator
    join                   →                  who we are, and our time
                           ←  accept          which run this is about; or ``refused``, in words
                                              which renews from that time
                           ←  look N          0 at the begin, another number to be proven again
    inventory N            →                  what the host can run, and how much at a time
    beat                   →                  again and again, with the agent's time
                           ←  renew           the time that the beat has named
                           ←  execute N       again, with another number, where the link was down
    want                   →                  a file that the agent does not have
                           ←  chunk
                           ←  release, cancel N
    console, hop N         →
    part N                 →                  the attempt's folder, before …
    ended N                →                  or ``lost``, or ``lapsed``
                           ←  taken N         all of it is on the orchestrator's disk
    bye                    →  or  ←           everything is ended at once

The number is that of an execution, as :class:`matrix.hosts.fleet.lease.Fence` gives it; 0 stands
for none. Both ends are the same version of this program.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.hosts.lines import Lines
from matrix.hosts.wanted import Wanted
from matrix.inventory import Inventory
from matrix.plan.schedule import Capacity

CHUNK = 192 << 10
"""Bytes of a file in a line; a beat waits for no more than one of them."""


class FleetKind(StrEnum):
    """What a line says."""

    JOIN = "join"
    ACCEPT = "accept"
    REFUSED = "refused"
    LOOK = "look"
    INVENTORY = "inventory"
    BEAT = "beat"
    RENEW = "renew"
    EXECUTE = "execute"
    WANT = "want"
    CHUNK = "chunk"
    RELEASE = "release"
    CANCEL = "cancel"
    CONSOLE = "console"
    HOP = "hop"
    PART = "part"
    ENDED = "ended"
    LOST = "lost"
    """The host cannot run the attempt, and why."""
    LAPSED = "lapsed"
    """The agent has ended it, because its lease was over."""
    TAKEN = "taken"
    BYE = "bye"


@dataclass(frozen=True, slots=True)
class Join:
    """What an agent says first."""

    version: str
    """Of this program."""
    host: str
    incarnation: str
    """Names the agent's process: one that is started again has nothing of before."""
    time: float
    """By the agent's clock."""


@dataclass(frozen=True, slots=True)
class Accept:
    """An orchestrator takes an agent."""

    run: str
    """Names the run, also when it is resumed; empty: only to look."""
    orchestrator: str
    """Names the process: what another one of the same run has started is ended."""
    lease: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Look:
    """What an inventory is wanted of."""

    wanted: tuple[Wanted, ...]
    files: tuple[str, ...] = ()
    fresh: bool = False
    prove: bool = False
    """Run the embedded guests, too."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is."""

    inventory: Inventory
    capacity: Capacity
    wrong: str = ""
    """Why the host is not proven, where that was asked."""


def _from_base64(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 - what pydantic takes
    return b64decode(value, validate=True)


Bytes = Annotated[
    bytes, PlainValidator(_from_base64), PlainSerializer(lambda data: b64encode(data).decode())
]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file that is sent by its digest."""

    sha256: str
    data: Bytes
    last: bool
    why: str = ""
    """Why there is no more of it, where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an artifact."""

    path: str
    """In the attempt's folder, with ``/``."""
    data: Bytes
    first: bool
    executable: bool = False


LINES = Lines(
    FleetKind,
    {
        FleetKind.JOIN: Join,
        FleetKind.ACCEPT: Accept,
        FleetKind.REFUSED: str,
        FleetKind.LOOK: Look,
        FleetKind.INVENTORY: Looked,
        FleetKind.BEAT: float,
        FleetKind.RENEW: float,
        FleetKind.EXECUTE: Assignment,
        FleetKind.WANT: str,
        FleetKind.CHUNK: Chunk,
        FleetKind.CONSOLE: Console,
        FleetKind.HOP: HopDone,
        FleetKind.PART: Part,
        FleetKind.ENDED: Ended,
        FleetKind.LOST: str,
        FleetKind.LAPSED: str,
        FleetKind.BYE: str,
    },
)
encode, decode = LINES.encode, LINES.decode
