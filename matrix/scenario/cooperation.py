"""Tests that ask to be migrated, as kvm-unit-tests' group ``migration`` does. Pure.

Such a guest prints that it wants to be migrated and waits for it, whatever the scenario says: its
own runner always migrates it, and so do we.
"""

from dataclasses import replace

from matrix.migrating import Migration, MigrationMode
from matrix.model import Test

COOPERATIVE_GROUP = "migration"
"""The group of kvm-unit-tests that ask to be migrated while they run."""

ALONE = Migration(mode=MigrationMode.COOPERATIVE)
"""How they are migrated where the scenario does not say how."""


def migration_of_test(migration: Migration | None, test: Test) -> tuple[Migration | None, str]:
    """How the guest of ``test`` is migrated where the scenario asks for ``migration``.

    Returns:
        None where it is not; and why the test is no part of the scenario, or empty. What the
        scenario says of when to hop gives way to what the guest says.
    """
    if COOPERATIVE_GROUP not in test.groups:
        if migration is not None and migration.mode is MigrationMode.COOPERATIVE:
            return migration, f"not in group {COOPERATIVE_GROUP}: it never asks to be migrated"
        return migration, ""
    if migration is None:
        return ALONE, ""
    cooperative = replace(
        migration, mode=MigrationMode.COOPERATIVE, hops=None, duration=None, faults=()
    )
    if migration.faults:
        return cooperative, "it asks to be migrated, and waits for a hop that succeeds: no faults"
    return cooperative, ""
