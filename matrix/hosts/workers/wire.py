"""What orchestrator and worker say to each other: lines of a kind, a number and JSON. Pure.

The number is that of an attempt, which the orchestrator gives with ``execute``; 0 stands for none.
Both ends are the same program: a worker of another version is refused by :class:`Begin`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from matrix.errors import HostLostError
from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.inventory import Inventory

BEAT = 1.0
"""Seconds from one sign of life of a worker to the next."""
LONGEST = 64 << 20
"""Bytes of a line. An attempt with the most subtests that are kept takes some megabytes."""


class Kind(StrEnum):
    """What a line says."""

    BEGIN = "begin"
    EXECUTE = "execute"
    RELEASE = "release"
    CANCEL = "cancel"
    BEAT = "beat"
    """The worker's event loop lives."""
    CONSOLE = "console"
    HOP = "hop"
    ENDED = "ended"
    LOST = "lost"
    """The attempt raised HostLostError; the body is its text."""
    FAILED = "failed"
    """As ``lost``, for any other HostError: the run cannot go on."""


@dataclass(frozen=True, slots=True)
class Begin:
    """What a worker is told first."""

    version: str
    """Of this program."""
    run: str
    """Path of the run directory."""
    umask: int
    inventory: Inventory


@dataclass(frozen=True, slots=True)
class Execute:
    """An attempt to be run."""

    assignment: Assignment
    paths: tuple[tuple[str, str], ...]
    """Where on this machine the assignment's files are, by their names."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line."""

    kind: Kind
    number: int
    body: Any


_BODIES: dict[Kind, TypeAdapter[Any]] = {
    Kind.BEGIN: TypeAdapter(Begin),
    Kind.EXECUTE: TypeAdapter(Execute),
    Kind.CONSOLE: TypeAdapter(Console),
    Kind.HOP: TypeAdapter(HopDone),
    Kind.ENDED: TypeAdapter(Ended),
    Kind.LOST: TypeAdapter(str),
    Kind.FAILED: TypeAdapter(str),
}
_NOTHING: TypeAdapter[None] = TypeAdapter(None)


class WireError(HostLostError):
    """The other end broke the protocol."""


def encode(kind: Kind, number: int = 0, body: Any = None) -> bytes:
    """A line, with its end. JSON escapes every line feed of the body."""
    text: bytes = _BODIES.get(kind, _NOTHING).dump_json(body)
    return b"%s %d %s\n" % (kind.encode(), number, text)


def decode(line: bytes) -> Line:
    """What a line says.

    Raises:
        WireError: it is none of ours.
    """
    try:
        word, number, text = line.split(b" ", 2)
        kind = Kind(word.decode())
        return Line(kind, int(number), _BODIES.get(kind, _NOTHING).validate_json(text))
    except (ValueError, ValidationError) as error:
        raise WireError(f"not a line of this protocol: {line[:100]!r}") from error
