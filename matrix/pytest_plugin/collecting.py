"""Scenario files and their cases as pytest collects them."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from _pytest._code.code import ExceptionInfo, TerminalRepr

from matrix.attempt import Attempt
from matrix.errors import MatrixError, NothingSelected
from matrix.plan.decisions import Decision, Run, Skip
from matrix.pytest_plugin.markers import add_marks
from matrix.pytest_plugin.plugin_session import run_path
from matrix.pytest_plugin.stash import session_of
from matrix.results.case_record import CaseRecord, record_of, unrun
from matrix.results.directory import COMMAND_FILE, CONSOLE_FILE
from matrix.results.files import read_tail
from matrix.results.printable import decoded, printable, without_commands

if TYPE_CHECKING:
    from _pytest._code.code import TracebackStyle

SECTIONS = (
    ("stdout (guest)", CONSOLE_FILE, 64 * 2**10),
    ("stderr (QEMU)", "qemu.log", 16 * 2**10),
    ("command line", COMMAND_FILE, 16 * 2**10),
)
"""What a report shows of an attempt: title, file, and how many of its last bytes; all of it is in
the run directory."""


class ScenarioFile(pytest.File):
    """A scenario file; its children are its cases in the plan's order."""

    def collect(self) -> Iterator["CaseItem"]:
        """Expand and plan the scenario.

        Raises:
            CollectError: the scenario, a build or an option is wrong; says where and what.
        """
        try:
            decisions = session_of(self.config).decisions(self.path)
        except NothingSelected:
            return
        except MatrixError as error:
            raise self.CollectError(str(error)) from error
        for decision in decisions:
            yield CaseItem.from_parent(self, name=decision.case.id, decision=decision)


class CaseItem(pytest.Item):
    """One case of a scenario."""

    def __init__(self, *, decision: Decision, **known: object) -> None:
        super().__init__(**known)  # type: ignore[arg-type]  # pytest's own arguments, passed on
        self.decision = decision
        self.attempts: tuple[Attempt, ...] = ()
        self.result: CaseRecord | None = None
        """Once it has run to its end."""
        add_marks(self, decision)
        if isinstance(decision, Skip):
            self.add_marker(pytest.mark.skip(reason=decision.reason))

    def runtest(self) -> None:
        """Run the case. What it came to is the report's to tell; nothing is raised for it.

        Raises:
            MatrixError: this host cannot go on.
        """
        self.result = None  # of the time before, where a plugin runs items again
        if isinstance(self.decision, Run):
            self.attempts = session_of(self.config).run(self.decision)
            self.result = record_of(self.decision.case, self.attempts)
        else:
            self.result = unrun(self.decision)
        add_evidence(self, self.result)

    def repr_failure(
        self, excinfo: ExceptionInfo[BaseException], style: "TracebackStyle | None" = None
    ) -> str | TerminalRepr:
        """What went wrong in words where it was the host, as on the command line."""
        if isinstance(excinfo.value, MatrixError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Where the case comes from."""
        return self.path, 0, self.name


def add_evidence(item: pytest.Item, result: CaseRecord) -> None:
    """Give the item what the guest and QEMU printed, the command line, and JUnit's properties.

    The sections are of the attempt that tells, and are called stdout and stderr so that
    --show-capture and junit_logging know them.
    """
    ours = _properties(result)
    names = {name for name, _ in ours}
    # Who runs items again (pytest-rerunfailures 16.7) leaves the properties of the time before.
    item.user_properties[:] = [each for each in item.user_properties if each[0] not in names] + ours
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
