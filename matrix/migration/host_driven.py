"""Hops that the guest knows nothing of: one, or one after the other until there were enough."""

import time

from matrix.migrating import MigrationMode
from matrix.migration.hop_runner import HopRunner

BAD_IN_A_ROW = 3
"""Hops after which a chain is given up: what failed so often will fail again."""
STOP_KEY = b"q"
"""What ends a guest that proves its memory until it is told to stop."""
LONGEST_START = 0.1
"""Seconds of pace from which a destination is started between hops, where it disturbs none."""


async def hop_on(runner: HopRunner, timeout: float) -> None:  # noqa: ASYNC109 - the guest's, no wait
    """Hop until the guest's end, or as often or as long as asked for.

    Args:
        runner: makes the hops.
        timeout: seconds that the guest may take. One that would never end by itself is left after
            half of them, where the scenario says neither how often nor how long.

    Raises:
        NoHopError, NotStartedError: as :meth:`HopRunner.hop`.
    """
    pace = runner.request.migration.pace

    def more() -> bool:
        return wants_more(runner, timeout)

    while more():
        if not await runner.hop(more=lambda: pace < LONGEST_START and more()) or not more():
            return
        if pace >= LONGEST_START:
            runner.prepare()
        if await runner.over_within(pace):
            return


def wants_more(runner: HopRunner, timeout: float) -> bool:
    """Whether there is another hop to be made."""
    migration, tally, earlier = runner.request.migration, runner.tally, runner.earlier
    if tally.bad_in_a_row >= BAD_IN_A_ROW:
        return False
    if migration.mode is MigrationMode.ONCE:
        # One that is interfered with must be followed by one that just works.
        return tally.attempts < (2 if migration.faults else 1)
    if migration.hops is not None and tally.attempts + earlier.hops >= migration.hops:
        return False
    elapsed = time.monotonic() - runner.begun + earlier.seconds
    if migration.duration is not None:
        return elapsed < migration.duration
    if migration.hops is None and runner.proof.present:
        return elapsed < timeout / 2
    return True
