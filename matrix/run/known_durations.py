"""What cases took last time: as the history has it, and as a file says that several hosts share."""

import json
import math
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from matrix.errors import UsageError
from matrix.plan.decisions import Decision, Run
from matrix.results.files import read_bounded, shown
from matrix.results.history.durations import known_durations
from matrix.results.history.place import Database

LARGEST = 2**30
"""Bytes; the results of 100,000 cases take some 100 MB."""

HOW = "name a run directory, its results.json, or a JSON object of case ids and seconds"

_WRITER = "matrix.results.history.writer"


def known_seconds(decisions: Iterable[Decision], database: Database | None) -> dict[str, float]:
    """Seconds that an attempt of each case that is to run took in the latest recorded run that had
    it under the same accelerator, by id.

    Args:
        decisions: the plan.
        database: the history; None where there is none, and nothing is known.
    """
    runs = [each for each in decisions if isinstance(each, Run)]
    labels = {each.case.id: each.accelerator_label for each in runs}
    return known_durations(database, {each.case.scenario for each in runs}, labels)


def load_writer(database: Database | None) -> Iterator[object]:
    """One short step: load what writes the history, which takes some milliseconds.

    SQLAlchemy, which takes longer, is needed by a server alone, and is there already since that was
    asked what cases took.
    """
    if database is not None:
        yield import_module(_WRITER)


def read_shared_durations(path: Path) -> dict[str, float]:
    """Case id → seconds of one attempt of it, for ``--durations FILE``.

    Args:
        path: a run directory, a ``results.json``, or a JSON object of ids and seconds.

    Cases that were not run, and so took no time, are left out.

    Raises:
        UsageError: the file is none of these.
        HostError: it cannot be read.
    """
    file = path / "results.json" if path.is_dir() else path
    try:
        document = json.loads(read_bounded(file, LARGEST))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--durations: {shown(file)} is not JSON: {error}; {HOW}") from error
    except UsageError as error:
        raise UsageError(f"--durations: {error}; {HOW}") from error
    found = _durations(document)
    if not found:
        raise UsageError(f"--durations: {shown(file)} has no durations of cases; {HOW}")
    return found


def _durations(document: Any) -> dict[str, float]:
    if not isinstance(document, dict):
        return {}
    cases = document.get("cases")
    if isinstance(cases, list):
        pairs = [(case.get("id"), _of_attempt(case)) for case in cases if isinstance(case, dict)]
    else:
        pairs = list(document.items())
    return {
        name: float(seconds)
        for name, seconds in pairs
        if isinstance(name, str)
        and isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and math.isfinite(seconds)
        and seconds > 0
    }


def _of_attempt(case: dict[str, Any]) -> float | None:
    """Seconds of an attempt of a case in ``results.json``, on average."""
    seconds, attempts = case.get("seconds"), case.get("attempts")
    if not isinstance(seconds, int | float):
        return None
    return seconds / max(1, len(attempts) if isinstance(attempts, list) else 1)
