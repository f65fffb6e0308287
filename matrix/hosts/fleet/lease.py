"""Who may run an attempt, when messages are late or lost and no two clocks agree. Pure.

An agent may run attempts while it has a lease. It names the time of its own clock in each beat; a
renewal carries *that* time, and lasts :attr:`Lease.seconds` from then: a message that is late
extends nothing. When the lease is over the agent ends its QEMUs, whether or not it hears anything.

The orchestrator renews whatever beat it hears. The latest that the agent can be working is the time
of the last beat that was heard plus the lease; :attr:`Grant.margin` is for clocks that are not
equally fast, and for killing QEMUs. Only then is a lost attempt started again.

Of each attempt one execution counts, the latest, and its result is taken once: :class:`Fence`.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

MARGIN = 1.5
"""Seconds, at least. An agent kills its QEMUs as soon as its lease is over, and the kernel kills an
agent that does not within a third of this (:mod:`matrix.hosts.fleet.deadline`). Clocks that differ
by 1 %, a hundred times what is common, take another 0.1 s of a lease of 10 s."""


BEAT = 1.0
"""Seconds, at most, from one sign of life of an agent to the next."""
BEATS = 8
"""So many of them, at least, are in a lease. A link is given up after half a lease without a
renewal (:mod:`matrix.hosts.fleet.agent`), and three of four may be late or lost until then."""


def beat_of(lease: float) -> float:
    """Seconds from one sign of life to the next, for a lease of so many seconds."""
    return min(BEAT, lease / BEATS)


@dataclass(slots=True)
class Lease:
    """An agent's right to run attempts. Times are of its own clock."""

    seconds: float
    until: float = float("-inf")

    def renew(self, named: float) -> None:
        """The orchestrator has heard the beat that named that time."""
        self.until = max(self.until, named + self.seconds)

    def over(self, now: float) -> bool:
        """Whether everything has to be ended."""
        return now >= self.until


@dataclass(slots=True)
class Grant:
    """The same lease as the orchestrator sees it. Times are of the orchestrator's clock."""

    seconds: float
    heard: float
    """When the last beat that was renewed was heard."""
    margin: float = MARGIN

    def hear(self, now: float) -> None:
        """A beat has come, and is renewed after this."""
        self.heard = max(self.heard, now)

    @property
    def free_at(self) -> float:
        """When nothing of the agent can be running any more."""
        return self.heard + self.seconds + self.margin


@dataclass(slots=True)
class Fence:
    """Which execution of each attempt counts."""

    _count: int = 0
    _current: dict[Hashable, int] = field(default_factory=dict)

    def issue(self, attempt: Hashable) -> int:
        """The number of a new execution, which is the one that counts from here on."""
        self._count += 1
        self._current[attempt] = self._count
        return self._count

    def take(self, attempt: Hashable, number: int) -> bool:
        """Whether the result of that execution counts; only the first time that it is asked."""
        if self._current.get(attempt) != number:
            return False
        del self._current[attempt]
        return True
