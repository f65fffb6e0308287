"""What went wrong, and which failures are the same. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Invariant(StrEnum):
    """What must hold, after every step or at the end."""

    HOP = "hop"
    """A hop ends as the model says, and the guest proves that it lives."""
    ONE_RUNNER = "one-runner"
    """Exactly one QEMU runs the guest; none where it is paused."""
    PROOF = "proof"
    """The guest's beats go on, none is lost or doubled, and its clock goes forward."""
    STATUS = "status"
    """Statuses of a migration follow the legal graph."""
    COMMAND = "command"
    """Commands are taken or refused as the model says, and change nothing."""
    ALIVE = "alive"
    """Neither guest nor QEMU ends before it is told to."""
    VERDICT = "verdict"
    """At the end the guest finds its memory and registers as it wrote them."""
    PARTS = "parts"
    """What was plugged in is there, and nothing else."""
    NOTHING_LEFT = "nothing-left"
    """No process, descriptor or file stays."""


_VARYING = re.compile(r"0x[0-9a-f]+|(?<![\w.-])/\S+|\b\d+(?:\.\d+)*\b", re.IGNORECASE)
"""Addresses, paths, counts and times."""

_NOT_LOADED = re.compile(r"error while loading state for instance \S+ of (device '[^']+': [^;(]+)")
"""A destination's words for a section that it does not take, and why: however the guest was sent,
and whatever its source made of that."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An invariant that did not hold."""

    invariant: Invariant
    reason: str
    step: int
    """Index of the step after which it did not; the number of steps where that was the end."""

    @property
    def signature(self) -> str:
        """The same for failures that are taken for one."""
        section = _NOT_LOADED.search(self.reason)
        cause = section[1].strip() if section else self.reason
        return f"{self.invariant.value}: {_VARYING.sub('#', cause)}"


class Broken(Exception):
    """An invariant does not hold, in the step that is done."""

    def __init__(self, invariant: Invariant, reason: str) -> None:
        super().__init__(reason)
        self.invariant = invariant
