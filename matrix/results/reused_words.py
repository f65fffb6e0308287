"""Where a result comes from that was not worked out anew, in words and as a path."""

import os
from pathlib import Path

from matrix.attempt import Reused


def origin_of(reused: Reused, run: Path) -> Path:
    """The case's folder in the run that really ran it, or that run's where it has none.

    ``run`` is the directory of the run that reused its result. Nothing need be there any more.
    """
    return Path(os.path.normpath(run / reused.run / reused.artifacts))


def reused_words(reused: Reused, run: Path) -> str:
    """``runs/a/cases/ID (0.31 s, run of 2026-11-21T12:10:31.000Z)``."""
    return f"{origin_of(reused, run)} ({reused.seconds:.2f} s, run of {reused.started})"
