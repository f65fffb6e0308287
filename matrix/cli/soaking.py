"""``matrix soak``: migrate guests for hours or days, with a seed that repeats it."""

import secrets
from dataclasses import replace

from matrix.cli.arguments import Execution
from matrix.cli.run_command import start_run
from matrix.cli.standard_output import standard_output
from matrix.errors import ExitCode
from matrix.results.segments import line
from matrix.run.options import Selection

SEED_BITS = 32
OF_PROJECT = ("scenarios", "expect", "jobs")
"""What a soak takes of the project's and the host file: a test's timeout is none of a soak."""


def start_soak(selection: Selection, execution: Execution) -> ExitCode:
    """Say the seed, and run; gives the command's exit code."""
    seed = secrets.randbits(SEED_BITS) if execution.seed is None else execution.seed
    standard_output().say([line(f"seed {seed}; --seed {seed} draws the same hops again")])
    return start_run(selection, replace(execution, seed=seed), only=OF_PROJECT)
