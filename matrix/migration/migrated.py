"""What holds for every guest that is migrated, whoever says when: its time, its watch, its end."""

import asyncio
import re
from dataclasses import replace

from matrix.attempt import Ending, Outcome
from matrix.vm.machine import outcome_of
from matrix.vm.session import Conclusion, Session
from matrix.vm.tasks import first_of
from matrix.vm.watch import Watch

SLOWED_BY = 0.5
"""Share of the time in hops that does not count towards the guest's timeout."""
_OF_A_HOP = re.compile(
    r"migration|SaveStateEntry|savevm|vmstate|Unable to (?:read|write|shutdown)|section footer"
)
FOREVER = 1e9
"""Seconds; the time limit is not one process's."""


def extended(timeout: float, hop_seconds: float) -> float:
    """Seconds that a guest may take which was in hops for ``hop_seconds``."""
    return timeout + SLOWED_BY * hop_seconds


async def watch_there(session: Session, stall: float, moved: asyncio.Event) -> Conclusion | None:
    """How a guest stalls or halts in that process; None once it has ``moved`` to another."""

    async def elsewhere() -> None:
        await moved.wait()

    never: asyncio.Future[Conclusion | None] = asyncio.get_running_loop().create_future()
    return await first_of(never, Watch(session, FOREVER, stall).run(), elsewhere())


def migrated_outcome(
    session: Session | None, conclusion: Conclusion, doing: str, seconds: float, hops: int
) -> Outcome:
    """What is known of a guest after its end.

    Args:
        session: its last process; None where there was none.
        conclusion: how it ended.
        doing: what a hung guest was last doing.
        seconds: that it took, in all of its processes.
        hops: how often it was migrated. What QEMU says of that is left out of the last words of a
            guest that ended by itself: records of hops have it, and no guest ended of it.
    """
    if session is None:
        return Outcome(conclusion.ending, seconds, reason=conclusion.reason)
    outcome = replace(outcome_of(session, conclusion, doing), seconds=seconds)
    if outcome.ending is not Ending.EXITED or not hops:
        return outcome
    tail = tuple(line for line in outcome.stderr_tail if _OF_A_HOP.search(line) is None)
    return replace(outcome, stderr_tail=tail)
