"""Scenario files and their cases as pytest collects them."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from _pytest._code.code import ExceptionInfo, TerminalRepr

from matrix.attempt import Attempt
from matrix.errors import MatrixError, NothingSelected
from matrix.plan.decisions import Decision, Run, Skip
from matrix.pytest_plugin.evidence import add_evidence
from matrix.pytest_plugin.markers import add_marks
from matrix.pytest_plugin.stash import session_of
from matrix.results.case_record import CaseRecord, record_of, unrun

if TYPE_CHECKING:
    from _pytest._code.code import TracebackStyle


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
