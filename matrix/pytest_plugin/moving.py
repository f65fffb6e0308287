"""How a test may have its guest migrated: from its words to the way of a hop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from matrix.migrating import Strategy, Transport
from matrix.migration.hop_maker import HOP_SECONDS
from matrix.scenario.compatibility import Route

UNABLE: Mapping[Strategy | Transport, str] = {
    Strategy.CPR_TRANSFER: "needs a guest whose memory was shared from its start",
    Strategy.DIRTY_LIMIT: "needs a guest that was started with dirty rings",
    Transport.EXEC: "has QEMU start a shell, which its sandbox denies",
}
"""What must be known when the guest is started, as it is in a scenario, and why."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a guest is to be migrated."""

    route: Route
    parameters: Mapping[str, int | bool | str] = field(default_factory=dict)
    """QEMU's migration parameters by its names, in its units."""
    seconds: float = HOP_SECONDS
    """What it may take before it is given up."""


def chosen_way(
    strategy: str, transport: str | None, parameters: Mapping[str, int | bool | str], seconds: float
) -> Way:
    """How a guest is to be migrated, from the words of a test.

    Args:
        strategy: as in a scenario.
        transport: as in a scenario; None for that which needs no choice.
        parameters: as :class:`Way` has them.
        seconds: likewise.

    Raises:
        ValueError: there is no such strategy or transport, or a test cannot have it; says which
            it can.
    """
    how = _named(Strategy, "strategy", strategy)
    if how.through_file:
        if transport is not None:
            raise ValueError(f"transport {transport}: {how} goes through a file and takes none")
        return Way(Route(how, None), parameters, seconds)
    over = _named(Transport, "transport", transport or Transport.UNIX)
    return Way(Route(how, over), parameters, seconds)


Word = TypeVar("Word", Strategy, Transport)


def _named(words: type[Word], what: str, name: str) -> Word:
    possible = [each for each in words if each not in UNABLE]
    if name in possible:
        return words(name)
    why = UNABLE[words(name)] if name in set(words) else "there is none of that name"
    where = "; scenarios can do it" if name in set(words) else ""
    raise ValueError(f"{what} {name}: {why}{where}; migrate() takes {', '.join(possible)}")
