"""``matrix soak``: migrate guests for hours or days, with a seed that repeats it."""

import secrets
from pathlib import Path

from matrix.cli.output import standard_output
from matrix.cli.running import start_run
from matrix.errors import ExitCode
from matrix.results.history.place import Database
from matrix.results.segments import line
from matrix.run.options import Selection

SEED_BITS = 32


def start_soak(
    selection: Selection,
    *,
    output: Path | None,
    jobs: int | None,
    strict: bool,
    seed: int | None,
    metrics: str,
    history: Database | None,
) -> ExitCode:
    """Say the seed, and run; gives the command's exit code."""
    chosen = secrets.randbits(SEED_BITS) if seed is None else seed
    standard_output().say([line(f"seed {chosen}; --seed {chosen} draws the same hops again")])
    return start_run(
        selection,
        output=output,
        jobs=jobs,
        strict=strict,
        history=history,
        seed=chosen,
        metrics=metrics,
    )
