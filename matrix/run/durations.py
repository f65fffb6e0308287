"""How long each case took last time, kept between runs so that the longest can start first.

A small JSON file in the user's state directory: a hint, not a record. Whatever is wrong with it, it
is taken as empty, and a run that cannot write it says nothing.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import platformdirs

VARIABLE = "MATRIX_STATE"
"""Overrides the state directory."""

MOST_CASES = 50_000
"""Entries that are kept, the latest ones; some 4 MB on disk."""


class Durations:
    """The last known seconds of cases, by id."""

    def __init__(self, path: Path | None = None) -> None:
        """Read them from ``path``, by default from the user's state directory."""
        self._path = path or state_directory() / "durations.json"
        self.seconds: dict[str, float] = _read(self._path)

    def save(self, new: Mapping[str, float]) -> None:
        """Keep what the cases of a run took. Another run's entries survive."""
        kept = _read(self._path)
        for case, seconds in new.items():
            kept.pop(case, None)
            kept[case] = round(seconds, 3)
        surplus = len(kept) - MOST_CASES
        for case in list(kept)[: max(0, surplus)]:
            del kept[case]
        with contextlib.suppress(OSError):
            _write(self._path, kept)


def state_directory() -> Path:
    """Where state is kept between runs: ``$MATRIX_STATE`` or the platform's place for it."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(platformdirs.user_state_dir("matrix"))


def _read(path: Path) -> dict[str, float]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {
        case: float(seconds)
        for case, seconds in document.items()
        if isinstance(seconds, int | float) and 0 <= seconds < 1e9
    }


def _write(path: Path, durations: Mapping[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(durations, file)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
