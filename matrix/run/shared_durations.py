"""What cases took, from a file that several hosts share: ``--durations FILE``."""

import json
import math
from pathlib import Path
from typing import Any

from matrix.errors import UsageError
from matrix.results.files import read_bounded, shown

LARGEST = 2**30
"""Bytes; the results of 100,000 cases take some 100 MB."""

HOW = "name a run directory, its results.json, or a JSON object of case ids and seconds"


def read_shared_durations(path: Path) -> dict[str, float]:
    """Case id → seconds of one attempt of it.

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
