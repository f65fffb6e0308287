"""Which hosts take part in a run, and what each is called."""

from collections.abc import Collection, Sequence

from matrix.errors import UsageError
from matrix.hosts.interface import Host
from matrix.inventory import Inventory
from matrix.plan.decisions import LOCAL
from matrix.plan.placing import hosts_on
from matrix.run.options import Selection


def taking_part(others: Sequence[Host], selection: Selection) -> dict[str, tuple[str, ...]]:
    """The names of the hosts that cases may run on, each with all that it is called by.

    Those are the hosts of the fleet, or else this machine; ``others``; and of these what ``--on``
    names.

    Raises:
        UsageError: two hosts have the same name, or no host is called so.
        FleetFileError: the fleet file is wrong.
    """
    called = {LOCAL: (LOCAL,)}
    if selection.fleet is not None:
        from matrix.hosts.fleet.fleet_file import load_fleet  # most runs have none

        called = {member.name: member.called for member in load_fleet(selection.fleet).members}
    count = len(called) + len(others)
    called |= {host.name: (host.name,) for host in others}
    if len(called) < count:
        listed = ", ".join((LOCAL, *(host.name for host in others)))
        raise UsageError(f"two hosts of the run have the same name: {listed}; rename one")
    return {name: called[name] for name in hosts_on(selection.on, called)}


def inventories(
    called: Collection[str], inventory: Inventory, others: Sequence[Host]
) -> dict[str, Inventory]:
    """Of the hosts that take part and are there; ``inventory`` is this machine's."""
    found = {LOCAL: inventory, **{host.name: host.inventory for host in others}}
    return {name: each for name, each in found.items() if name in called}
