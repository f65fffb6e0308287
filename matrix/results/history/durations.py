"""How long cases took last, from the history, so that the longest can start first.

Read before every run. It is a hint: whatever is wrong, no case is known, and a database of an
earlier version answers as it is.
"""

import math
from collections.abc import Collection, Mapping

from matrix.errors import MatrixError
from matrix.model import AcceleratorLabel
from matrix.results.history.connection import listed
from matrix.results.history.database import connected
from matrix.results.history.place import Database

PATIENCE = 0.5
"""Seconds to wait for another run that is writing."""
MOST_NAMES = 500
"""Parameters of a query; older SQLites take 999."""
_PASSES = (
    "SELECT case_id, accelerator, MAX(results.seconds) FROM results "
    'JOIN cases ON cases.id = results."case" '
    "JOIN environments ON environments.id = environment WHERE verdict IN ('pass', 'xpass')"
)


def known_durations(database: Database | None, scenarios: Collection[str]) -> dict[str, float]:
    """Seconds that an attempt of each case took in the latest run that had it.

    Args:
        database: the history; None for none.
        scenarios: names of the scenarios whose cases are asked for.
    """
    if database is None or not scenarios:
        return {}
    names, values = listed(sorted(set(scenarios)))
    known = "SELECT case_id, seconds FROM cases WHERE seconds IS NOT NULL"
    query = f"{known} AND scenario IN ({names})"
    try:
        with connected(database, patience=PATIENCE) as session:
            rows = session.read(query, values)
    except MatrixError:
        return {}
    return {case: seconds for case, seconds in rows if _plausible(seconds)}


def longest_passes(
    database: Database | None, cases: Mapping[str, AcceleratorLabel]
) -> dict[str, float]:
    """Seconds of the longest pass of each of these cases (ids) in any recorded run, under what it
    runs under now; nothing is known of one that never passed there.

    Args:
        database: the history; None for none.
        cases: few, as those that are known to time out.
    """
    if database is None or not cases:
        return {}
    wanted, rows = sorted(set(cases)), []
    try:
        with connected(database, patience=PATIENCE) as session:
            for begin in range(0, len(wanted), MOST_NAMES):
                names, values = listed(wanted[begin : begin + MOST_NAMES])
                query = f"{_PASSES} AND case_id IN ({names}) GROUP BY case_id, accelerator"
                rows += session.read(query, values)
    except MatrixError:
        return {}
    return {
        case: seconds
        for case, accelerator, seconds in rows
        if accelerator == cases[case] and _plausible(seconds)
    }


def _plausible(seconds: object) -> bool:
    return isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0
