"""Hosts of a fleet that runs leave alone: drained, or reserved for runs that name them.

Kept beside the fleet file, as ``fleet.state.json`` beside ``fleet.yaml``, for all who use that.
"""

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from matrix.errors import HostError
from matrix.results.files import host_errors, read_bounded, written_atomically

LARGEST = 2**20
"""Bytes of the file."""


class AwayKind(StrEnum):
    """Why runs leave a host alone."""

    DRAINED = "drained"
    """No run starts anything there."""
    RESERVED = "reserved"
    """Only runs that name it (``--on``) do."""


@dataclass(frozen=True, slots=True)
class Away:
    """That a host is left alone. Times are seconds since 1970."""

    kind: AwayKind
    by: str
    """The user who said so."""
    since: float
    until: float | None = None
    """None: until it is undrained."""
    reason: str = ""

    def __str__(self) -> str:
        until = "" if self.until is None else f" until {_shown(self.until)}"
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.kind.value} by {self.by} since {_shown(self.since)}{until}{reason}"


_STATES = TypeAdapter(dict[str, Away])


def state_path(fleet: Path) -> Path:
    """Where the state of a fleet is kept, by the path of its file."""
    return fleet.with_suffix(".state.json")


def hosts_away(fleet: Path, now: Callable[[], float] = time.time) -> dict[str, Away]:
    """The hosts that are left alone now, by name.

    Raises:
        HostError: the state cannot be read.
    """
    path = state_path(fleet)
    if not path.exists():
        return {}
    try:
        states = _STATES.validate_json(read_bounded(path, LARGEST))
    except ValidationError:
        raise HostError(f"{path}: not the state of a fleet; remove it") from None
    moment = now()
    return {name: each for name, each in states.items() if (each.until or moment + 1) > moment}


def set_away(
    fleet: Path, host: str, away: Away | None, now: Callable[[], float] = time.time
) -> Away | None:
    """Have runs leave a host alone, or with None use it again.

    Returns:
        What was there before.

    Raises:
        HostError: the state cannot be written.
    """
    path = state_path(fleet)
    with host_errors("open", path.parent):
        lock = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two who change it each keeps what the other did
        states = hosts_away(fleet, now)
        before = states.pop(host, None)
        if away is not None:
            states[host] = away
        with written_atomically(path, durable=True) as file:
            file.write(_STATES.dump_json(states, indent=2) + b"\n")
    finally:
        os.close(lock)
    return before


@dataclass(slots=True)
class Drained:
    """The hosts that are drained, looked at again and again."""

    fleet: Path
    _read: tuple[int, int] = (0, 0)
    _states: dict[str, Away] = field(default_factory=dict)

    def __call__(self) -> dict[str, str]:
        """Those of now, with the reason. A state that cannot be read is as the last one was."""
        try:
            found = state_path(self.fleet).stat()
            if self._read != (found.st_mtime_ns, found.st_ino):
                self._states = hosts_away(self.fleet)
                self._read = found.st_mtime_ns, found.st_ino
        except (OSError, HostError):
            pass
        states = self._states.items()
        return {name: str(each) for name, each in states if each.kind is AwayKind.DRAINED}


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
