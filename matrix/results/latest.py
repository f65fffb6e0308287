"""The latest run, so that nobody has to copy its name: ``latest`` and ``latest:SCENARIO``."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from matrix.errors import MatrixError, UsageError
from matrix.results.files import read_bounded
from matrix.results.printable import printable

LATEST = "latest"
PLACES = ("runs/*/run.json", "*/run.json")
"""Where it is looked for: where runs go, and where ``-o NAME`` puts them."""
LARGEST = 64 << 20
"""Bytes of a ``run.json``, see :mod:`.run_info`."""


def scenario_of_latest(given: Path) -> str | None:
    """The scenario of ``latest:SCENARIO``, empty for ``latest``; None for any other path."""
    word, _, scenario = str(given).partition(":")
    return scenario if word == LATEST and not given.exists() else None


def latest_run(scenario: str = "") -> Path:
    """The run that was started last, of a scenario if one is named.

    Raises:
        UsageError: there is none.
    """
    newest = max(_runs(scenario), default=None)
    if newest is None:
        of = f" of {printable(scenario)}" if scenario else ""
        raise UsageError(f"no run{of} in this directory or in runs/: name a run directory")
    return newest[1]


def _runs(scenario: str) -> Iterator[tuple[str, Path]]:
    """When each run was started, and where it lies; what is none is passed over."""
    for path in chain.from_iterable(Path().glob(place) for place in PLACES):
        try:
            info = json.loads(read_bounded(path, LARGEST))
            names = [each["name"] for each in info["scenarios"]]
            started = str(info["started"])
        except (MatrixError, ValueError, LookupError, TypeError):
            continue  # no run of ours
        if not scenario or scenario in names:
            yield started, path.parent


def run_named(given: Path | None) -> Path | None:
    """The run directory that is meant: a path, or the latest run (of a scenario).

    Raises:
        UsageError: there is no run.
    """
    if given is None or (scenario := scenario_of_latest(given)) is None:
        return given
    return latest_run(scenario)
