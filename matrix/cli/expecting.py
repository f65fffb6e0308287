"""``matrix expect``: a file of known failures from runs."""

import sys
from collections.abc import Iterable
from pathlib import Path

from matrix.results.expecting import expectation_lines
from matrix.results.record import load_run


def run_expect(paths: Iterable[Path]) -> None:
    """Print the known failures of runs as YAML.

    Raises:
        UsageError: no run directory, or it has more failures than one file can hold.
    """
    records = [load_run(path) for path in paths]
    for record in records:
        for problem in record.problems:
            print(f"warning: {problem}", file=sys.stderr)
    for line in expectation_lines(*records):
        print(line)
