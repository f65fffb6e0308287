"""``matrix expect``: a file of known failures from runs."""

from collections.abc import Iterable
from pathlib import Path

from matrix.cli.report_command import loaded
from matrix.results.expecting import expectation_lines


def run_expect(paths: Iterable[Path]) -> None:
    """Print the known failures of runs as YAML.

    Raises:
        UsageError: no run directory, or it has more failures than one file can hold.
    """
    for line in expectation_lines(*map(loaded, paths)):
        print(line)
