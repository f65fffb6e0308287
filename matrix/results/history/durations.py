"""How long cases took last, from the history, so that the longest can start first.

Read before every run. It is a hint: whatever is wrong, no case is known, as of a database of an
earlier version, which is brought up to date when the run is written.
"""

import math
from collections.abc import Collection, Mapping

from matrix.errors import MatrixError
from matrix.model import AcceleratorLabel
from matrix.results.history.connection import Session, listed
from matrix.results.history.database import connected
from matrix.results.history.place import Database

PATIENCE = 0.5
"""Seconds to wait for another run that is writing."""
MOST_NAMES = 500
"""Parameters of a query; older SQLites take 999."""
MOST_RUNS = 100
"""Latest runs of the history that are looked through for a case that ran under another accelerator
last: such cases may be all of a large history's."""
_LATEST = (
    "SELECT case_id, accelerator, cases.seconds FROM cases "
    "JOIN runs ON runs.started = seconds_at "
    'JOIN results ON results.run = runs.id AND results."case" = cases.id '
    "JOIN environments ON environments.id = environment"
)
# Read along an index from the latest run on, up to the first that fits; every verdict of
# ``attempts`` but the last has a space behind it.
_EARLIER = (
    "SELECT case_id, (SELECT results.seconds"
    " / (1 + coalesce(length(attempts) - length(replace(attempts, ' ', '')), 0)) FROM results "
    "JOIN environments ON environments.id = environment "
    'WHERE results."case" = cases.id AND accelerator = :accelerator AND results.seconds > 0 '
    "AND run > (SELECT max(id) FROM runs) - :most ORDER BY run DESC LIMIT 1) FROM cases"
)
_PASSES = (
    "SELECT case_id, accelerator, MAX(results.seconds) FROM results "
    'JOIN cases ON cases.id = results."case" '
    "JOIN environments ON environments.id = environment WHERE verdict IN ('pass', 'xpass')"
)


def known_durations(
    database: Database | None,
    scenarios: Collection[str],
    cases: Mapping[str, AcceleratorLabel],
) -> dict[str, float]:
    """Seconds that an attempt of each of these cases took in the latest run that had it under what
    it runs under now.

    Args:
        database: the history; None for none.
        scenarios: names of the scenarios whose cases they are.
        cases: what each runs under, by their ids.
    """
    if database is None or not cases:
        return {}
    names, values = listed(sorted(set(scenarios)))
    try:
        with connected(database, patience=PATIENCE) as session:
            latest = session.read(f"{_LATEST} WHERE scenario IN ({names})", values)
            known = {case: took for case, label, took in latest if cases.get(case) == label}
            known |= _earlier(session, {case: cases[case] for case in cases.keys() - known.keys()})
    except MatrixError:
        return {}
    return {case: seconds for case, seconds in known.items() if _plausible(seconds)}


def _earlier(session: Session, cases: Mapping[str, AcceleratorLabel]) -> dict[str, object]:
    """What they took under that before a run that had them under something else, if known."""
    found: dict[str, object] = {}
    for label in set(cases.values()):
        wanted = sorted(case for case, each in cases.items() if each is label)
        for begin in range(0, len(wanted), MOST_NAMES):
            names, values = listed(wanted[begin : begin + MOST_NAMES])
            query = f"{_EARLIER} WHERE case_id IN ({names})"
            found.update(
                session.read(query, {**values, "accelerator": label.value, "most": MOST_RUNS})
            )
    return found


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
