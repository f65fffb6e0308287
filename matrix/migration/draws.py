"""What each hop is made of, drawn from a scenario's pools by a seed. Pure.

A hop's draw depends on the seed, its number, and the installation that the guest is on, and on
nothing else: a soak that is killed and resumed goes on as it would have.
"""

import random
from collections.abc import Mapping, Sequence

from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.migration.strategies import Abilities, why_not

MANY_CHANNELS = (Strategy.MULTIFD, Strategy.POSTCOPY_PREEMPT)
"""Need a transport that can be connected to more than once."""
ONE_CHANNEL = (Transport.FD, Transport.EXEC)


def makes_no_sense(strategy: Strategy, transport: Transport) -> str:
    """Why no QEMU carries that strategy over that transport; empty where they do."""
    if strategy in MANY_CHANNELS and transport in ONE_CHANNEL:
        return f"{strategy} needs several connections, but {transport} is only one"
    if strategy is Strategy.CPR_TRANSFER and transport not in (Transport.UNIX, Transport.TCP):
        return f"{strategy} goes over unix or tcp, not {transport}"
    return ""


class Lot:
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

    def way(self, able: Mapping[str, Abilities]) -> tuple[Strategy, Transport | None] | str:
        """How the guest goes there, or why there is no way. None: through a file.

        Args:
            able: what the binaries of both sides know of migration, by installation.
        """
        choices: dict[Strategy, list[Transport | None]] = {}
        reasons: list[str] = []
        for strategy in self._migration.strategies:
            lacks = [
                f"QEMU {name}: {why}" for name in able if (why := why_not(strategy, able[name]))
            ]
            if lacks:
                reasons.append(f"no {strategy}: {lacks[0]}")
                continue
            whys = {way: makes_no_sense(strategy, way) for way in self._migration.transports}
            ways = [None] if strategy.through_file else [way for way in whys if not whys[way]]
            if ways:
                choices[strategy] = list(ways)
            else:
                reasons += whys.values()
        if not choices:
            return "; ".join(reasons) or "no strategy to choose from"
        generator = self._generator("way")
        strategy = generator.choice(sorted(choices))
        return strategy, generator.choice(choices[strategy])

    def _generator(self, what: str) -> random.Random:
        """One per kind of draw, so that a pool that changes leaves the other draws as they are."""
        return random.Random(f"{self._name}/{what}")  # noqa: S311 - to be repeatable, not secret
