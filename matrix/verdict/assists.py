"""What was done to a guest so that QEMU works faster (:mod:`matrix.vm.tlb`), in words. Pure.

Those who look for bugs must know: a bug may come of it, or hide behind it.
"""

from collections.abc import Iterable
from dataclasses import replace

from matrix.attempt import Assist, Attempt

HINT = "; QEMU was told to flush its translated addresses meanwhile: repeat it with --no-assist"
"""At the end of the reason of an attempt that did not pass."""

DEEDS = {
    Assist.CALC_DIRTY_RATE: "calc-dirty-rate",
    Assist.MIGRATE_TO_NOBODY: "stop, a migration to /dev/null that is cancelled, cont",
}


def with_hint(attempt: Attempt) -> Attempt:
    """``attempt``, with the hint where it did not pass and was assisted."""
    if attempt.verdict.good or not attempt.assists:
        return attempt
    return replace(attempt, reason=attempt.reason + HINT)


def assist_words(assists: Iterable[tuple[Assist, int]]) -> str:
    """``calc-dirty-rate, 12 times``; empty for a guest that was left alone."""
    return "; ".join(
        f"{DEEDS[each]}, {count:,} time{'' if count == 1 else 's'}" for each, count in assists
    )
