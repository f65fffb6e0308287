"""Strategies as QEMU's capabilities and parameters, and what a binary lacks for one. Pure.

What a binary knows is asked of it (``query-migrate-capabilities``, ``query-migrate-parameters``),
never guessed from its version: distributions patch, and builds leave things out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matrix.migrating import Strategy
from matrix.plan.recipes import RECIPES, ParameterValue, Recipe

__all__ = [
    "RECIPES",
    "Abilities",
    "ParameterValue",
    "Recipe",
    "abilities",
    "capability_settings",
    "parameter_settings",
    "unknown_parameters",
    "why_not",
]

ALWAYS = ("events",)
MANAGED = (
    "events",
    "return-path",
    "postcopy-ram",
    "postcopy-preempt",
    "multifd",
    "xbzrle",
    "auto-converge",
    "dirty-limit",
    "mapped-ram",
    "background-snapshot",
    "pause-before-switchover",
    "validate-uuid",
    "x-ignore-shared",
    "release-ram",
    "switchover-ack",
)
"""Capabilities that every hop sets, most of them to off: a process that took its guest in by one
strategy may send it on by another."""

Parameters = Mapping[str, ParameterValue]

CPR_TRANSFER_SINCE = (10, 0, 0)
"""QEMU's ``mode`` parameter does not say which modes it takes; the schema of its type would, and
this is the release in which MigMode got ``cpr-transfer``. ``cpr-reboot`` came with ``mode``."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one binary knows of migration."""

    capabilities: frozenset[str]
    parameters: frozenset[str]
    version: tuple[int, int, int] = (0, 0, 0)


def abilities(
    capabilities: Any, parameters: Any, version: tuple[int, int, int] = (0, 0, 0)
) -> Abilities:
    """From the answers to ``query-migrate-capabilities`` and ``query-migrate-parameters``."""
    listed = capabilities if isinstance(capabilities, list) else []
    names = (item.get("capability") for item in listed if isinstance(item, dict))
    known = frozenset(name for name in names if isinstance(name, str))
    return Abilities(known, frozenset(parameters if isinstance(parameters, dict) else ()), version)


def why_not(strategy: Strategy, able: Abilities) -> str:
    """What the binary lacks for the strategy, in words; empty where it lacks nothing."""
    recipe = RECIPES[strategy]
    for capability in recipe.capabilities:
        if capability not in able.capabilities:
            return f"it has no migration capability {capability!r}"
    for name, _ in recipe.parameters:
        if name not in able.parameters:
            return f"it has no migration parameter {name!r}"
    if recipe.mode != "normal" and "mode" not in able.parameters:
        return f"it has no migration parameter 'mode', so no {recipe.mode}"
    if strategy is Strategy.CPR_TRANSFER and able.version < CPR_TRANSFER_SINCE:
        return "its migration parameter 'mode' does not take cpr-transfer"
    return ""


def unknown_parameters(names: Iterable[str], able: Abilities) -> tuple[str, ...]:
    """Those of ``names`` that the binary does not know."""
    return tuple(name for name in names if name not in able.parameters)


def capability_settings(
    strategy: Strategy, able: Abilities, extra: Iterable[str] = ()
) -> list[dict[str, object]]:
    """The argument of ``migrate-set-capabilities``, for either side.

    ``extra`` are further ones to switch on. Those that the binary does not know are left out.
    """
    recipe = RECIPES[strategy]
    wanted = {*ALWAYS, *recipe.capabilities, *extra}
    if recipe.return_path:
        wanted.add("return-path")
    return [
        {"capability": name, "state": name in wanted}
        for name in (*MANAGED, *sorted(wanted - {*MANAGED}))
        if name in able.capabilities
    ]


def parameter_settings(
    strategy: Strategy, able: Abilities, extra: Parameters
) -> dict[str, ParameterValue]:
    """The argument of ``migrate-set-parameters``, for either side; ``extra`` wins."""
    recipe = RECIPES[strategy]
    settings: dict[str, ParameterValue] = {"tls-creds": "", "tls-hostname": ""}
    if "mode" in able.parameters:
        settings["mode"] = recipe.mode
    return {**settings, **dict(recipe.parameters), **extra}
