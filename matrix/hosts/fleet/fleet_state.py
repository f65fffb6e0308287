"""What outlives runs of a fleet: hosts that are drained, reserved or quarantined, and proofs.

Runs leave drained hosts alone, and reserved ones that they do not name. A run that quarantines a
host says so here, and the next one uses it only after it was proven again.

Kept beside the fleet file, as ``fleet.state.json`` beside ``fleet.yaml``, for all who use that.
"""

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

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


@dataclass(frozen=True, slots=True)
class Quarantine:
    """That a host is not trusted until it has been proven again. Times are seconds since 1970."""

    since: float
    reason: str

    def __str__(self) -> str:
        return f"quarantined since {_shown(self.since)}: {self.reason}"


@dataclass(frozen=True, slots=True)
class HostState:
    """What is kept of a host."""

    away: Away | None = None
    quarantine: Quarantine | None = None
    proven: float | None = None
    """When the embedded guests last ran there, in seconds since 1970."""

    def __str__(self) -> str:
        return "; ".join(str(each) for each in (self.away, self.quarantine) if each is not None)

    def is_due(self, every: float, now: float) -> bool:
        """Whether the host has to be proven, which is done each ``every`` seconds."""
        return bool(self.quarantine) or not 0 <= now - (self.proven or 0.0) < every


NOTHING = HostState()
_STATES: TypeAdapter[dict[str, HostState]] = TypeAdapter(
    dict[str, HostState], config=ConfigDict(extra="forbid")
)


def state_path(fleet: Path) -> Path:
    """Where the state of a fleet is kept, by the path of its file."""
    return fleet.with_suffix(".state.json")


def host_states(fleet: Path, now: Callable[[], float] = time.time) -> dict[str, HostState]:
    """What is kept of hosts and is not over, by name.

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
    return {
        name: replace(each, away=None)
        if each.away is not None and (each.away.until or moment + 1) <= moment
        else each
        for name, each in states.items()
    }


def hosts_away(fleet: Path, now: Callable[[], float] = time.time) -> dict[str, Away]:
    """The hosts that are left alone now, by name.

    Raises:
        HostError: the state cannot be read.
    """
    states = host_states(fleet, now)
    return {name: each.away for name, each in states.items() if each.away is not None}


def set_away(
    fleet: Path, host: str, away: Away | None, now: Callable[[], float] = time.time
) -> HostState:
    """Have runs leave a host alone, or with None use it again, be it quarantined or not.

    Returns:
        What was there before.

    Raises:
        HostError: the state cannot be written.
    """

    def changed(before: HostState) -> HostState:
        return replace(before, away=away, quarantine=before.quarantine if away else None)

    return _change(fleet, host, changed, now)


def note_quarantine(fleet: Path, host: str, reason: str) -> None:
    """A host is not trusted until it has been proven again.

    Raises:
        HostError: the state cannot be written.
    """
    new = Quarantine(time.time(), reason)
    _change(fleet, host, lambda before: replace(before, quarantine=before.quarantine or new))


def note_proof(fleet: Path, host: str) -> HostState:
    """A host has been proven, and is trusted again; gives what was there before.

    Raises:
        HostError: the state cannot be written.
    """
    proven = time.time()
    return _change(fleet, host, lambda before: replace(before, quarantine=None, proven=proven))


def _change(
    fleet: Path,
    host: str,
    change: Callable[[HostState], HostState],
    now: Callable[[], float] = time.time,
) -> HostState:
    """Keep something else of a host; gives what was there before.

    Raises:
        HostError: the state cannot be written.
    """
    path = state_path(fleet)
    with host_errors("open", path.parent):
        lock = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two who change it each keeps what the other did
        states = host_states(fleet, now)
        before = states.pop(host, NOTHING)
        if (after := change(before)) != NOTHING:
            states[host] = after
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
            pass  # being written, or broken: what was read last goes on
        states = self._states.items()
        return {name: str(each) for name, each in states if each.kind is AwayKind.DRAINED}


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
