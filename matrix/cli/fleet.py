"""``matrix fleet``: the hosts of a fleet, from the first certificate on."""

import getpass
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from matrix.errors import ExitCode, HostError, UsageError
from matrix.hosts.fleet.fleet_file import load_fleet, parse_address
from matrix.hosts.fleet.fleet_state import Away, AwayKind, set_away
from matrix.results.printable import printable
from matrix.run.option_values import duration_named
from matrix.scenario.wording import Refused, one_of, quoted

FLEET_FILE = Path("fleet.yaml")
"""Where the fleet is that no option names."""


class FleetAction(StrEnum):
    """What ``matrix fleet`` does."""

    INIT = "init"
    STATUS = "status"
    DOCTOR = "doctor"
    DRAIN = "drain"
    UNDRAIN = "undrain"
    RESERVE = "reserve"


@dataclass(frozen=True, slots=True)
class FleetRequest:
    """A command line of ``matrix fleet``, of which each action uses its part."""

    action: str
    words: Sequence[str] = ()
    hosts: Sequence[str] = ()
    scheduler: str = ""
    fleet: Path | None = None
    for_: str | None = None
    reason: str = ""
    json: bool = False


def run_fleet(request: FleetRequest) -> ExitCode:
    """Do it, and print what came of it; gives what the command ends with.

    Raises:
        UsageError: there is no such action, or it is used wrongly.
        HostError: something cannot be read or written.
    """
    try:
        action = FleetAction(request.action)
    except ValueError:
        message = f"matrix fleet: {quoted(request.action)} is not known"
        raise UsageError(f"{message}; {one_of(request.action, map(str, FleetAction))}") from None
    _check_options(request, action)
    match action:
        case FleetAction.INIT:
            _init(request)
        case FleetAction.STATUS | FleetAction.DOCTOR:
            return _look(request, action)
        case FleetAction.DRAIN | FleetAction.RESERVE | FleetAction.UNDRAIN:
            _set_away(request, action)
    return ExitCode.OK


def _check_options(request: FleetRequest, action: FleetAction) -> None:
    """See that nothing was given that the action would ignore.

    Raises:
        UsageError: an option of other actions was.
    """
    look = (FleetAction.STATUS, FleetAction.DOCTOR)
    away = (FleetAction.DRAIN, FleetAction.RESERVE)
    options: tuple[tuple[str, object, tuple[FleetAction, ...]], ...] = (
        ("--host", request.hosts, (FleetAction.INIT,)),
        ("--scheduler", request.scheduler, (FleetAction.INIT,)),
        ("--fleet", request.fleet, (*look, *away, FleetAction.UNDRAIN)),
        ("--for", request.for_, away),
        ("--reason", request.reason, away),
        ("--json", request.json, look),
    )
    for option, given, actions in options:
        if given and action not in actions:
            takers = " and ".join(actions) if len(actions) < 3 else "the others"
            raise UsageError(f"matrix fleet {action} takes no {option}; that is of {takers}")


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


def _look(request: FleetRequest, action: FleetAction) -> ExitCode:
    from matrix.cli.fleet_status import look_at, print_problems, print_status

    if len(request.words) > 1 or (request.words and request.fleet):
        raise UsageError(f"matrix fleet {action} takes one fleet file")
    path = Path(*request.words) if request.words else request.fleet or FLEET_FILE
    view = look_at(path, prove=action is FleetAction.DOCTOR)
    if action is FleetAction.DOCTOR:
        code = print_problems(view.hosts, json=request.json)
    else:
        code = ExitCode.OK
        print_status(view.hosts, json=request.json)
    if view.not_asked:
        raise HostError(f"no host could be asked: {view.not_asked}")
    return code


def _user() -> str:
    """Who asks; in a container the user may have a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return str(os.getuid())


def _set_away(request: FleetRequest, action: FleetAction) -> None:
    if len(request.words) != 1:
        raise UsageError(f"matrix fleet {action} takes one host, as in: matrix fleet {action} z1")
    (host,) = request.words
    path = request.fleet or FLEET_FILE
    load_fleet(path).member(host)
    if action is FleetAction.UNDRAIN:
        before = set_away(path, host, None)
        print(printable(f"{host}: " + (f"was {before}" if str(before) else "was in use already")))
        return
    now = time.time()
    until = None if request.for_ is None else now + duration_named("--for", request.for_)
    kind = AwayKind.DRAINED if action is FleetAction.DRAIN else AwayKind.RESERVED
    away = Away(kind, _user(), now, until, " ".join(request.reason.split()))
    set_away(path, host, away)
    print(printable(f"{host}: {away}"))
