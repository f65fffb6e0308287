"""What each hop is made of, drawn from a scenario's pools by a seed. Pure.

A hop's draw depends on the seed, its number, and the installation that the guest is on, and on
nothing else: a soak that is killed and resumed goes on as it would have.
"""

import random
from collections.abc import Mapping, Sequence

from matrix.migrating import Fault, Migration, Strategy
from matrix.migration.strategies import Abilities, why_not
from matrix.scenario.compatibility import Route, routes, senseless_fault


class HopDraw:
    """The draws of one hop of a chain."""

    def __init__(self, migration: Migration, seed: int, number: int) -> None:
        """``number`` counts from 1, over all parts of a chain that is resumed."""
        self._migration = migration
        self._name = f"{seed}/{number}"
        self._number = number

    def destination(self, installations: Sequence[str], current: str) -> str:
        """Where the guest goes: to another installation than ``current`` if there is one."""
        others = [name for name in installations if name != current] or [current]
        return self._generator("destination").choice(others)

    def fault(self) -> Fault | None:
        """What is done to the hop; one that is interfered with is followed by one that is not."""
        faults = self._migration.faults
        return self._generator("fault").choice(faults) if faults and self._number % 2 else None

    def route(self, able: Mapping[str, Abilities], fault: Fault | None) -> Route | str:
        """How the guest goes there, or why there is no way.

        The strategy is drawn first, then the transport: those of few transports came up rarely
        otherwise.

        Args:
            able: what the binaries of both sides know of migration, by installation.
            fault: what is done to the hop.
        """
        possible: dict[Strategy, list[Route]] = {}
        reasons: dict[str, None] = {}
        for route in routes(self._migration):
            reason = _lacking(route.strategy, able)
            if fault is not None and not reason:
                reason = senseless_fault(fault, route)
            if reason:
                reasons[reason] = None
            else:
                possible.setdefault(route.strategy, []).append(route)
        if not possible:
            return "; ".join(reasons) or "no strategy to choose from"
        generator = self._generator("route")
        strategy = generator.choice(list(possible))
        return generator.choice(possible[strategy])

    def _generator(self, what: str) -> random.Random:
        """One per kind of draw, so that a pool that changes leaves the other draws as they are."""
        return random.Random(f"{self._name}/{what}")  # noqa: S311 - to be repeatable, not secret


def _lacking(strategy: Strategy, able: Mapping[str, Abilities]) -> str:
    for name, abilities in able.items():
        if why := why_not(strategy, abilities):
            return f"no {strategy} with QEMU {name}: {why}"
    return ""
