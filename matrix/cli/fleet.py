"""``matrix fleet``: the hosts of a fleet, from the first certificate on."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from matrix.errors import UsageError
from matrix.hosts.fleet.fleet_file import parse_address
from matrix.results.printable import printable
from matrix.scenario.wording import Refused, one_of, quoted


class FleetAction(StrEnum):
    """What ``matrix fleet`` does."""

    INIT = "init"


@dataclass(frozen=True, slots=True)
class FleetRequest:
    """A command line of ``matrix fleet``, of which each action uses its part."""

    action: str
    words: Sequence[str] = ()
    hosts: Sequence[str] = ()
    scheduler: str = ""


def run_fleet(request: FleetRequest) -> None:
    """Do it, and print what came of it.

    Raises:
        UsageError: there is no such action, or it is used wrongly.
        HostError: something cannot be written.
    """
    try:
        action = FleetAction(request.action)
    except ValueError:
        allowed = one_of(request.action, map(str, FleetAction))
        raise UsageError(
            f"matrix fleet: {quoted(request.action)} is not known; {allowed}"
        ) from None
    match action:
        case FleetAction.INIT:
            _init(request)


def _init(request: FleetRequest) -> None:
    try:
        from matrix.hosts.fleet.founding import found_fleet, parse_hosts
    except ImportError as error:
        message = f"matrix fleet init needs {error.name}: pip install 'qemu-matrix[fleet]'"
        raise UsageError(message) from None
    if len(request.words) != 1:
        raise UsageError("matrix fleet init takes one folder, as in: matrix fleet init lab")
    try:
        scheduler = parse_address(request.scheduler or socket.gethostname())
    except Refused as refused:
        raise UsageError(f"--scheduler: {refused}") from None
    for line in found_fleet(Path(request.words[0]), parse_hosts(request.hosts), scheduler):
        print(printable(line))
