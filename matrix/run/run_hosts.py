"""Which hosts take part in a run, and what each is called."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from matrix.errors import HostError, UsageError
from matrix.hosts.interface import Host
from matrix.hosts.survey import ignore_step
from matrix.inventory import Inventory
from matrix.plan.decisions import LOCAL
from matrix.plan.placing import hosts_on
from matrix.run.options import Selection


def taking_part(
    others: Sequence[Host],
    selection: Selection,
    on_word: Callable[[str], None] = ignore_step,
) -> dict[str, tuple[str, ...]]:
    """The names of the hosts that cases may run on, each with all that it is called by.

    Those are the hosts of the fleet, or else this machine; ``others``; and of these what ``--on``
    names. ``on_word`` is told which hosts of the fleet are drained or reserved.

    Raises:
        UsageError: two hosts have the same name, no host is called so, or attempts are to take
            turns on this machine alone.
        FleetFileError: the fleet file is wrong.
        HostError: all hosts of the fleet are drained or reserved.
    """
    if selection.spread and selection.fleet is None and not others:
        raise UsageError("--spread takes turns on the hosts of a fleet: give --fleet FILE, too")
    called: dict[str, tuple[str, ...]] = {LOCAL: (LOCAL,)}
    if selection.fleet is not None:
        called = _of_fleet(selection.fleet, selection.on, on_word)
    count = len(called) + len(others)
    called |= {host.name: (host.name,) for host in others}
    if len(called) < count:
        listed = ", ".join((LOCAL, *(host.name for host in others)))
        raise UsageError(f"two hosts of the run have the same name: {listed}; rename one")
    if selection.fleet is not None:
        return called
    return {name: called[name] for name in hosts_on(selection.on, called)}


def inventories(
    called: Collection[str], inventory: Inventory, others: Sequence[Host]
) -> dict[str, Inventory]:
    """Of the hosts that take part and are there; ``inventory`` is this machine's."""
    found = {LOCAL: inventory, **{host.name: host.inventory for host in others}}
    return {name: each for name, each in found.items() if name in called}


def _of_fleet(
    path: Path, on: Collection[str], on_word: Callable[[str], None]
) -> dict[str, tuple[str, ...]]:
    """Those that the run may use. One that is reserved has to be named."""
    from matrix.hosts.fleet.fleet_file import load_fleet  # most runs have none
    from matrix.hosts.fleet.fleet_state import AwayKind, hosts_away

    called = {member.name: member.called for member in load_fleet(path).members}
    away = hosts_away(path)
    left = {}
    for name in hosts_on(on, called):
        why = away.get(name)
        if why is None or (why.kind is AwayKind.RESERVED and name in on):
            left[name] = called[name]
        else:
            on_word(f"{name}: {why}")
    if not left:
        raise HostError(f"no host of {path} is left for this run; see matrix fleet undrain")
    return left
