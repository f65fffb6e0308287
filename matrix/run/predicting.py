"""What is known of hops to other QEMUs, taken into a run's plan."""

from matrix.hosts.cache import Cache, cache_directory
from matrix.inventory import Inventory
from matrix.plan.decisions import Decision


def predicted(decisions: list[Decision], inventory: Inventory) -> list[Decision]:
    """The decisions without hops that are known to fail."""
    migrations = (decision.case.migration for decision in decisions)
    if not any(migration is not None and migration.destinations for migration in migrations):
        return decisions
    from matrix.hosts.host_facts import read_host  # most runs migrate no guest to another QEMU
    from matrix.migratable.refusals import without_refused

    return without_refused(decisions, inventory, read_host(), Cache(cache_directory()))
