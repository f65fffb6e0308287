"""Hops that the guest knows nothing of: one, or one after the other until there were enough."""

import time

from matrix.migrating import MigrationMode
from matrix.migration.hopper import Hopper

BAD_IN_A_ROW = 3
"""Hops after which a chain is given up: what failed so often will fail again."""
STOP_KEY = b"q"
"""What ends a guest that proves its memory until it is told to stop."""
LONGEST_START = 0.1
"""Seconds of pace from which a destination is started between hops, where it disturbs none."""


async def hop_on(hopper: Hopper, timeout: float) -> None:  # noqa: ASYNC109 - the guest's, no wait
    """Hop until the guest's end, or as often or as long as asked for.

    Args:
        hopper: makes the hops.
        timeout: seconds that the guest may take. One that would never end by itself is left after
            half of them, where the scenario says neither how often nor how long.

    Raises:
        NoHopError, NotStartedError: as :meth:`Hopper.hop`.
    """
    pace = hopper.request.migration.pace

    def more() -> bool:
        return wants_more(hopper, timeout)

    while more():
        if not await hopper.hop(more=lambda: pace < LONGEST_START and more()) or not more():
            return
        if pace >= LONGEST_START:
            hopper.prepare()
        if await hopper.over_within(pace):
            return


def wants_more(hopper: Hopper, timeout: float) -> bool:
    """Whether there is another hop to be made."""
    migration, tally, earlier = hopper.request.migration, hopper.tally, hopper.earlier
    if tally.bad_in_a_row >= BAD_IN_A_ROW:
        return False
    if migration.mode is MigrationMode.ONCE:
        # One that is interfered with must be followed by one that just works.
        return tally.attempts < (2 if migration.faults else 1)
    if migration.hops is not None and tally.attempts + earlier.hops >= migration.hops:
        return False
    elapsed = time.monotonic() - hopper.begun + earlier.seconds
    if migration.duration is not None:
        return elapsed < migration.duration
    if migration.hops is None and hopper.proof.present:
        return elapsed < timeout / 2
    return True
