"""What orchestrator and worker say to each other. Pure.

The number is that of an attempt, which the orchestrator gives with ``execute``; 0 stands for none.
Both ends are the same program: a worker of another version is refused by :class:`Begin`.
"""

from dataclasses import dataclass
from enum import StrEnum

from matrix.hosts.case_inputs import Common
from matrix.hosts.interface import Assignment, Console, Ended, HopDone
from matrix.hosts.lines import Lines
from matrix.inventory import Inventory

BEAT = 1.0
"""Seconds from one sign of life of a worker to the next."""


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
    log: str = ""
    """Path of the file that stderr goes to from here on; empty: where it goes already."""
    common: Common | None = None
    """Of the inputs of cases, which are part of what comes back; None: nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Execute:
    """An attempt to be run."""

    assignment: Assignment
    paths: tuple[tuple[str, str], ...]
    """Where on this machine the assignment's files are, by their names."""


LINES = Lines(
    Kind,
    {
        Kind.BEGIN: Begin,
        Kind.EXECUTE: Execute,
        Kind.CONSOLE: Console,
        Kind.HOP: HopDone,
        Kind.ENDED: Ended,
        Kind.LOST: str,
        Kind.FAILED: str,
    },
)
encode, decode = LINES.encode, LINES.decode
