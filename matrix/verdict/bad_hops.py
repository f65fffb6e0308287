"""What the hops of a migrated guest make of its verdict. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from matrix.attempt import ChainResult
from matrix.model import Expectation
from matrix.suites.judgement import Judgement, sentence
from matrix.verdict.known_failures import KNOWN, known_hops
from matrix.verdicts import Verdict

BAD_SHOWN = 2
"""Hops, and limits, that a reason names; all of them are in hops.jsonl and migration.json."""


def apply_hops(
    judgement: Judgement, result: ChainResult, expected: Sequence[Expectation] = ()
) -> Judgement:
    """The guest's own verdict, unless hops or limits say otherwise.

    Bad hops that ``expected`` knows leave the guest its own verdict; where that is a pass, or the
    guest was lost in one, the case has failed as expected.
    """
    if result.refused_by and not result.bad:
        who = f"destination QEMU {result.refused_by}"
        return replace(judgement, reason=f"{who}: {judgement.reason}")
    told = result.summary.bad <= len(result.bad)  # of very many bad ones not all are
    known = known_hops(result.bad, expected) if told else {}
    if known and len(known) == len(set(result.bad)) and not result.summary.broken:
        if result.lost or judgement.verdict is Verdict.PASS:
            why = "; ".join(dict.fromkeys(known.values()))
            return Judgement(Verdict.XFAIL, f"{KNOWN}{why} ({_shown(result.bad)})")
        result = replace(result, bad=())
    if result.lost_as_expected:
        return Judgement(Verdict.PASS, f"the guest was lost, as it had to be: {result.lost}")
    if judgement.verdict is Verdict.ERROR:
        return judgement
    if result.lost:
        return Judgement(Verdict.FAIL, f"the guest was lost: {_shown(result.bad)}")
    if wrong := (*result.bad, *result.summary.broken):
        if judgement.verdict.good:
            return Judgement(Verdict.FAIL, _shown(wrong))
        return Judgement(judgement.verdict, sentence(_shown(wrong), judgement.reason))
    if judgement.verdict is Verdict.PASS:  # that it was not migrated at all must be seen
        hops, times = result.summary.hops, result.summary.completed
        count = f"migrated {times} time{'' if times == 1 else 's'}"
        return judgement.adding(count if hops else "ended before it was migrated")
    return judgement


def _shown(wrong: tuple[str, ...]) -> str:
    more = len(wrong) - BAD_SHOWN
    return "; ".join((*wrong[:BAD_SHOWN], *((f"and {more} more",) if more > 0 else ())))
