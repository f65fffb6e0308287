"""Migration strategies as QEMU's capabilities, parameters and modes, and what a binary lacks. Pure.

What a binary knows was asked of it, never guessed from its version: distributions patch, and builds
leave things out.
"""

from dataclasses import dataclass

from matrix.inventory import Binary
from matrix.migrating import Strategy
from matrix.model import Architecture

ParameterValue = int | bool | str


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a strategy is made of."""

    capabilities: tuple[str, ...] = ()
    parameters: tuple[tuple[str, ParameterValue], ...] = ()
    mode: str = "normal"
    """``mode`` of the migration (QEMU's MigMode)."""
    postcopy: bool = False
    """Whether it is told ``migrate-start-postcopy``."""
    return_path: bool = True
    """A destination must be able to say that it has failed; a file says nothing."""
    userfaultfd: bool = False
    """Whether QEMU has to handle the guest's page faults."""
    dirty_ring: bool = False
    """Whether it works under KVM alone, and there with dirty rings."""
    shared_memory: bool = False
    """Whether the next QEMU maps the memory of the last."""


RECIPES: dict[Strategy, Recipe] = {
    Strategy.PRECOPY: Recipe(),
    Strategy.POSTCOPY: Recipe(("postcopy-ram",), postcopy=True, userfaultfd=True),
    Strategy.POSTCOPY_PREEMPT: Recipe(
        ("postcopy-ram", "postcopy-preempt"), postcopy=True, userfaultfd=True
    ),
    Strategy.MULTIFD: Recipe(("multifd",), (("multifd-channels", 2),)),
    Strategy.XBZRLE: Recipe(("xbzrle",), (("xbzrle-cache-size", 64 << 20),)),
    Strategy.AUTO_CONVERGE: Recipe(("auto-converge",)),
    Strategy.DIRTY_LIMIT: Recipe(("dirty-limit",), dirty_ring=True),
    Strategy.MAPPED_RAM: Recipe(("mapped-ram",), return_path=False),
    Strategy.FILE: Recipe(return_path=False),
    Strategy.BACKGROUND_SNAPSHOT: Recipe(
        ("background-snapshot",), return_path=False, userfaultfd=True
    ),
    Strategy.CPR_REBOOT: Recipe(mode="cpr-reboot", return_path=False),
    Strategy.CPR_TRANSFER: Recipe(mode="cpr-transfer", shared_memory=True),
}


MIGRATED_SINCE = {Architecture.LOONGARCH64: (8, 0, 0)}
"""QEMUs before these die when they are told to migrate a guest, or might: so does Debian's 7.2.22,
and 10.0 migrates it; those between have not been tried."""


def lacking(strategy: Strategy, binary: Binary) -> str:
    """What the binary lacks for the strategy, in words with its version; empty for nothing."""
    recipe = RECIPES[strategy]
    name = f"QEMU {'.'.join(map(str, binary.version))}"
    if binary.version < MIGRATED_SINCE.get(binary.architecture, (0, 0, 0)):
        return f"{name} dies of SIGFPE when a {binary.architecture} guest begins to migrate"
    known = binary.migration_capabilities
    for capability in recipe.capabilities:
        if known and capability not in known:
            return f"{name} has no migration capability {capability!r}"
    # One that did not describe itself will say at run time what it does not take.
    if not binary.migration_parameters:
        return ""
    for parameter, _ in recipe.parameters:
        if parameter not in binary.migration_parameters:
            return f"{name} has no migration parameter {parameter!r}"
    if recipe.mode != "normal" and recipe.mode not in binary.migration_modes:
        return f"{name} has no migration mode {recipe.mode!r}"
    return ""


def lacking_parameter(parameter: str, binary: Binary) -> str:
    """That the binary has no such migration parameter, in words; empty where it has."""
    if not binary.migration_parameters or parameter in binary.migration_parameters:
        return ""
    return f"QEMU {'.'.join(map(str, binary.version))} has no migration parameter {parameter!r}"
