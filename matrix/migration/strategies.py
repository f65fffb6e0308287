"""What to set on a QEMU for a strategy, given what its binary knows. Pure.

What strategies are made of is in :mod:`matrix.plan.strategy_settings`. What a binary knows is
asked of the running process (``query-migrate-capabilities``, ``query-migrate-parameters``), never
guessed from its version.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matrix.migrating import Strategy
from matrix.plan.strategy_settings import RECIPES, ParameterValue

NORMAL = "normal"
"""The ``mode`` of a migration that is none of ``cpr-…``."""
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


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one binary knows of migration."""

    capabilities: frozenset[str]
    defaults: Mapping[str, ParameterValue]
    """Its parameters, and their values in a fresh process."""
    modes: frozenset[str] | None = None
    """Values that its parameter ``mode`` takes; None where nobody knows."""


def abilities(capabilities: Any, parameters: Any, modes: Iterable[str] | None = None) -> Abilities:
    """From the answers to ``query-migrate-capabilities`` and ``query-migrate-parameters``.

    ``modes`` are in neither: they are in QEMU's schema.
    """
    listed = capabilities if isinstance(capabilities, list) else []
    names = (item.get("capability") for item in listed if isinstance(item, dict))
    known = frozenset(name for name in names if isinstance(name, str))
    defaults = {
        name: value
        for name, value in (parameters if isinstance(parameters, dict) else {}).items()
        if isinstance(value, int | bool | str)
    }
    return Abilities(known, defaults, None if modes is None else frozenset(modes))


def why_not(strategy: Strategy, able: Abilities) -> str:
    """What the binary lacks for the strategy, in words; empty where it lacks nothing."""
    recipe = RECIPES[strategy]
    for capability in recipe.capabilities:
        if capability not in able.capabilities:
            return f"it has no migration capability {capability!r}"
    for name, _ in recipe.parameters:
        if name not in able.defaults:
            return f"it has no migration parameter {name!r}"
    if recipe.mode == NORMAL:
        return ""
    if "mode" not in able.defaults or recipe.mode not in (able.modes or (recipe.mode,)):
        return f"it has no migration mode {recipe.mode!r}"
    return ""


def capability_settings(
    strategy: Strategy, able: Abilities, extra: Iterable[str] = ()
) -> list[dict[str, object]]:
    """The argument of ``migrate-set-capabilities``, for either side.

    ``extra`` are further ones to switch on. Those that the binary does not know are left out,
    unless they are asked for: then it will say so.
    """
    recipe = RECIPES[strategy]
    wanted = {*recipe.capabilities, *extra}
    common = {*ALWAYS, *(("return-path",) if recipe.return_path else ())}
    return [
        {"capability": name, "state": name in wanted or name in common}
        for name in (*MANAGED, *sorted(wanted - {*MANAGED}))
        if name in able.capabilities or name in wanted
    ]


def parameter_settings(
    strategy: Strategy, able: Abilities, extra: Parameters, stale: Iterable[str] = ()
) -> dict[str, ParameterValue]:
    """The argument of ``migrate-set-parameters``, for either side; ``extra`` wins.

    ``stale`` are parameters that the process has from earlier hops: they get their defaults back.
    """
    recipe = RECIPES[strategy]
    settings = {name: able.defaults[name] for name in stale if name in able.defaults}
    settings |= {"tls-creds": "", "tls-hostname": ""}
    if "mode" in able.defaults:
        settings["mode"] = recipe.mode
    return {**settings, **dict(recipe.parameters), **extra}
