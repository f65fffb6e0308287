"""What a case came to, as a report of pytest's: its outcome and the reason."""

import os
from pathlib import Path
from typing import assert_never

import pytest
from _pytest._code.code import (
    ExceptionChainRepr,
    ReprEntryNative,
    ReprFileLocation,
    ReprTraceback,
)

from matrix.plan.decisions import Skip
from matrix.pytest_plugin.collecting import CaseItem
from matrix.pytest_plugin.keeping import case_text
from matrix.pytest_plugin.plugin_session import run_path
from matrix.pytest_plugin.stash import session_of
from matrix.results.case_record import CaseRecord
from matrix.results.directory import COMMAND_FILE
from matrix.results.printable import printable, without_commands
from matrix.results.segments import plain
from matrix.results.summary_text import outcome_lines
from matrix.verdicts import Verdict

WIDTH = 100
"""Columns that the lines of a failure keep to, wherever they are read."""


def tell(item: CaseItem, report: pytest.TestReport) -> None:
    """Make ``report`` of one phase of ``item`` say what its case came to."""
    decision = item.decision
    if isinstance(decision, Skip):
        if report.when == "setup" and report.skipped:
            _attach(report, case_text(decision, (), session_of(item.config).news()))
        return
    result = item.result
    if report.when != "call" or result is None:
        return
    _attach(report, case_text(decision, item.attempts, session_of(item.config).news()))
    _set_outcome(item, report, result)


def _attach(report: pytest.TestReport, text: str) -> None:
    """Have the case travel with the report, as pytest-xdist sends a report's attributes."""
    vars(report)["matrix_case"] = text


def _set_outcome(item: CaseItem, report: pytest.TestReport, result: CaseRecord) -> None:
    run = run_path(item.config)
    verdict = result.verdict
    if item.config.getoption("runxfail"):
        verdict = _without_expectation(result)
    match verdict:
        case Verdict.PASS:
            report.outcome = "passed"
        case Verdict.SKIP:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 1, f"Skipped: {_shown(result.reason)}")
        case Verdict.XFAIL:
            report.outcome = "skipped"
            report.wasxfail = _shown(result.reason)
        case Verdict.XPASS if item.config.getini("xfail_strict"):
            report.outcome = "failed"
            report.longrepr = _failure(item, result, run, "[XPASS(strict)] ")
        case Verdict.XPASS:
            report.outcome = "passed"
            report.wasxfail = _shown(result.reason)
        case (
            Verdict.FAIL
            | Verdict.TIMEOUT
            | Verdict.STALL
            | Verdict.CRASH
            | Verdict.ERROR
            | Verdict.FLAKY
        ):
            report.outcome = "failed"
            report.longrepr = _failure(item, result, run, f"{verdict.value}: ")
        case _:
            assert_never(verdict)


def _without_expectation(result: CaseRecord) -> Verdict:
    """The verdict with known failures left out of account, for --runxfail."""
    if result.verdict not in (Verdict.XFAIL, Verdict.XPASS):
        return result.verdict
    telling = next(each for each in result.attempts if each.verdict is result.verdict)
    return telling.observed or (Verdict.PASS if result.verdict is Verdict.XPASS else Verdict.FAIL)


def _shown(text: str) -> str:
    """What a guest said, for pytest to print in a CI system's log."""
    return without_commands(printable(text), os.environ)


def _failure(item: CaseItem, result: CaseRecord, run: Path, prefix: str) -> ExceptionChainRepr:
    """The case as the summary of a run tells it, in the only form that keeps its short message
    through pytest-xdist and into JUnit: that of an exception, here without a traceback."""
    lines = [_shown(line) for line in plain(outcome_lines(result, run, WIDTH)).splitlines()]
    if result.artifacts:
        lines.append(f"{' ' * 10}{COMMAND_FILE} in it runs the same QEMU by hand")
    entry = ReprEntryNative([f"{line}\n" for line in lines])
    place = ReprFileLocation(str(item.path), 1, f"{prefix}{_shown(result.reason)}")
    traceback = ReprTraceback([entry], extraline=None, style="native")
    return ExceptionChainRepr([(traceback, place, None)])
