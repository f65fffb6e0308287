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
                           ←  lend N          QEMUs that the orchestrator drives itself
    lent N                 →                  with which command lines
                           ←  start, feed, signal N
    output, used, exited N →
                           ←  look-at N       its threads
    threads N              →
                           ←  passage N       a port that leads to one of them, through the agent
    opened N               →
                           ←  steer N         disturbs it, or closes it
                           ←  die             the agent kills itself, if nothing else runs there
                           ←  room N          for the memory of a guest that hangs
    room N                 →                  where it may be written
                           ←  fetch N         it was
    piece N                →
                           ←  echo N          compares the clocks
    echo N                 →                  the agent's Unix time
                           ←  return N        all of them are to end; so they do where the link
    returned N             →                  is lost
    bye                    →  or  ←           everything is ended at once

The number is that of an execution, as :class:`matrix.hosts.fleet.lease.Fence` gives it; 0 stands
for none. Both ends are the same version of this program.
"""

import signal
from base64 import b64decode, b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

from matrix.errors import LossCause
from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.hosts.lines import Lines
from matrix.hosts.wanted import Wanted
from matrix.inventory import Inventory
from matrix.migration.endpoint import Emulator
from matrix.model import Launch
from matrix.plan.schedule import Capacity
from matrix.vm.cputime import Thread
from matrix.vm.location import Landing

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
    LEND = "lend"
    LENT = "lent"
    START = "start"
    FEED = "feed"
    SIGNAL = "signal"
    OUTPUT = "output"
    USED = "used"
    LOOK_AT = "look-at"
    THREADS = "threads"
    PASSAGE = "passage"
    OPENED = "opened"
    STEER = "steer"
    EXITED = "exited"
    DIE = "die"
    ROOM = "room"
    FETCH = "fetch"
    PIECE = "piece"
    ECHO = "echo"
    RETURN = "return"
    RETURNED = "returned"
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


@dataclass(frozen=True, slots=True)
class Lost:
    """The host cannot run an attempt."""

    why: str
    cause: LossCause = LossCause.GONE

    def __str__(self) -> str:
        return self.why


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


class Stream(StrEnum):
    """Of a QEMU's process."""

    CONSOLE = "console"
    ERRORS = "errors"
    MONITOR = "monitor"


@dataclass(frozen=True, slots=True)
class Lend:
    """An attempt whose QEMUs the orchestrator drives."""

    assignment: Assignment
    qemus: tuple[str, ...]
    """Names of the installations that it may start."""


@dataclass(frozen=True, slots=True)
class Lent:
    """What may be started."""

    emulators: tuple[Emulator, ...]
    landing: Landing


@dataclass(frozen=True, slots=True)
class Start:
    """Start a QEMU."""

    process: int
    """The orchestrator's number of it, in its loan."""
    launch: Launch
    typing: bool
    incoming: bool


@dataclass(frozen=True, slots=True)
class Data:
    """What a QEMU has said, or is told."""

    process: int
    stream: Stream
    data: Bytes
    """None at all: nothing more comes of the monitor."""


@dataclass(frozen=True, slots=True)
class SendSignal:
    """A signal for a QEMU and all that it has started."""

    process: int
    number: signal.Signals


@dataclass(frozen=True, slots=True)
class Used:
    """What QEMUs have used so far."""

    cpu_seconds: tuple[tuple[int, float], ...]
    """Of each process, by its number."""


@dataclass(frozen=True, slots=True)
class Exited:
    """A QEMU has ended, and has said all before."""

    process: int
    status: int | None
    """As of :class:`matrix.vm.process.Process`; None: it could not be started."""
    ended_by_us: bool = False
    oom_kills: int = 0
    """Processes that the kernel has killed there since it was started."""
    why: str = ""
    """Why it could not be started."""


@dataclass(frozen=True, slots=True)
class LookAt:
    """Look at a QEMU's threads."""

    process: int


@dataclass(frozen=True, slots=True)
class Threads:
    """What was seen."""

    process: int
    threads: tuple[Thread, ...]


@dataclass(frozen=True, slots=True)
class OpenPassage:
    """Forward connections to a QEMU that listens for a guest."""

    passage: int
    """The orchestrator's number of it, in its loan."""
    port: int
    """Where the QEMU listens."""


@dataclass(frozen=True, slots=True)
class Opened:
    """It is forwarded."""

    passage: int
    port: int
    """Where to connect to instead; 0: nowhere."""
    why: str = ""
    """Why not."""


class Deed(StrEnum):
    """What is done to a passage; see :class:`matrix.vm.location.Passage`."""

    STALL = "stall"
    FLOW = "flow"
    DROP = "drop"
    """Reset, new connections too."""
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Steer:
    """Do that to a passage."""

    passage: int
    deed: Deed


@dataclass(frozen=True, slots=True)
class Room:
    """Room for a file that a QEMU writes, asked for or given."""

    size: int
    """Bytes."""
    path: str = ""
    """Where, on the host; empty: nowhere."""
    why: str = ""
    """Why not."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of it."""

    data: Bytes
    last: bool
    why: str = ""
    """Why there is no more of it, where it cannot be read."""


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
        FleetKind.LOST: Lost,
        FleetKind.LAPSED: str,
        FleetKind.LEND: Lend,
        FleetKind.LENT: Lent,
        FleetKind.START: Start,
        FleetKind.FEED: Data,
        FleetKind.SIGNAL: SendSignal,
        FleetKind.OUTPUT: Data,
        FleetKind.USED: Used,
        FleetKind.LOOK_AT: LookAt,
        FleetKind.THREADS: Threads,
        FleetKind.PASSAGE: OpenPassage,
        FleetKind.OPENED: Opened,
        FleetKind.STEER: Steer,
        FleetKind.EXITED: Exited,
        FleetKind.ECHO: float,
        FleetKind.ROOM: Room,
        FleetKind.PIECE: Piece,
        FleetKind.BYE: str,
    },
)
encode, decode = LINES.encode, LINES.decode
