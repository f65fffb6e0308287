"""What a guest left behind, for pytest's reports: what was printed, the command, properties."""

import os

import pytest

from matrix.pytest_plugin.session import run_path
from matrix.results.case_record import CaseRecord
from matrix.results.directory import COMMAND_FILE, CONSOLE_FILE
from matrix.results.files import read_tail
from matrix.results.printable import decoded, printable, without_commands

SECTIONS = (
    ("stdout (guest)", CONSOLE_FILE, 64 * 2**10),
    ("stderr (QEMU)", "qemu.log", 16 * 2**10),
    ("command line", COMMAND_FILE, 16 * 2**10),
)
"""What a report shows of an attempt: title, file, and how many of its last bytes; all of it is in
the run directory."""


def add_evidence(item: pytest.Item, result: CaseRecord) -> None:
    """Give the item what the guest and QEMU printed, the command line, and JUnit's properties.

    The sections are of the attempt that tells, and are called stdout and stderr so that
    --show-capture and junit_logging know them.
    """
    item.user_properties.extend(_properties(result))
    if not result.artifacts:
        return
    folder = run_path(item.config) / result.artifacts
    for key, name, most in SECTIONS:
        text = decoded(read_tail(folder / name, most))
        if text.strip():
            item.add_report_section("call", key, without_commands(text, os.environ))


def _properties(result: CaseRecord) -> list[tuple[str, object]]:
    """The verdict by our names, where the guest ran, and where its files are."""
    return [
        ("verdict", result.verdict.value),
        ("reason", printable(result.reason)),
        *((name, str(value)) for name, value in result.axes.axes().items()),
        ("accelerator", result.accelerator),
        ("artifacts", result.artifacts),
    ]
