"""``matrix expect``: a file of known failures from a run."""

import sys
from pathlib import Path

from matrix.results.expecting import expectation_lines
from matrix.results.record import load_run


def run_expect(path: Path) -> None:
    """Print the known failures of a run as YAML.

    Raises:
        UsageError: no run directory, or it has more failures than one file can hold.
    """
    record = load_run(path)
    for problem in record.problems:
        print(f"warning: {problem}", file=sys.stderr)
    for line in expectation_lines(record):
        print(line)
