"""What other programs read out of the files of a run: prove, tap.py and junitparser."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from junitparser import JUnitXml

from matrix.results.junit import write_junit
from matrix.results.recorder import Recorder
from matrix.results.tap import write_tap
from matrix.verdicts import Verdict
from tests import make
from tests.results.conftest import RunMaker

FAILED = ("fail", "timeout", "stall", "crash", "error", "flaky")
"""Verdicts that fail a run."""
GOOD = ("pass", "skip", "xfail", "xpass")


@pytest.fixture
def everything(recorded: RunMaker) -> Callable[..., Recorder]:
    """A run in which each of these verdicts came once; what guests said is in their subtests."""

    def make_run(*verdicts: str, **options: Any) -> Recorder:
        subtests = ["PASS: a", "FAIL: b: # TODO c", "SKIP: d: e", "XFAIL: f", "FAIL: ok 1 - g"]
        results: list[Any] = []
        for verdict in verdicts:
            case = make.case(verdict)
            if verdict == "skip":
                results.append((make.skip(case, "no # KVM"), []))
            else:
                attempt = make.attempt(verdict, "why: # TODO\nnot ok 9", subtests=subtests)
                results.append((make.run(case), [attempt]))
        recorder: Recorder = recorded(results, **options)
        write_tap(recorder.record)
        write_junit(recorder.record)
        return recorder

    return make_run


def test_all_verdicts_are_tried() -> None:
    assert {*FAILED, *GOOD} == set(Verdict)


def prove(recorder: Recorder) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("prove")
    if program is None:
        pytest.skip("prove, of Perl's Test::Harness, is not installed")
    argv = [program, "--merge", "--verbose", "--exec", "cat", "results.tap"]
    return subprocess.run(
        argv, cwd=recorder.run.path, capture_output=True, text=True, check=False, timeout=60
    )


def test_prove_passes_what_passed(everything: Callable[..., Recorder]) -> None:
    done = prove(everything(*GOOD))
    assert "Result: PASS" in done.stdout
    assert done.returncode == 0
    assert "TODO passed:   4" in done.stdout


@pytest.mark.parametrize("verdict", FAILED)
def test_prove_fails_what_failed(everything: Callable[..., Recorder], verdict: str) -> None:
    done = prove(everything("pass", verdict))
    assert done.returncode == 1
    assert "Failed 1/2 subtests" in done.stdout
    assert "Parse errors" not in done.stdout


def test_version_14_is_written_where_it_was_asked_for(everything: Callable[..., Recorder]) -> None:
    """Which is what prove 3.44 does not take."""
    recorder = everything("pass", tap=14)
    assert (recorder.run.path / "results.tap").read_text().startswith("TAP version 14\n")


def points_of_tap_py(recorder: Recorder) -> list[Any]:
    parser = pytest.importorskip("tap.parser", reason="tap.py is of the dev extra").Parser()
    lines = list(parser.parse_file(str(recorder.run.path / "results.tap")))
    return [line for line in lines if line.category == "test"]


def test_tap_py_counts_the_cases(everything: Callable[..., Recorder]) -> None:
    points = points_of_tap_py(everything(*FAILED, *GOOD))
    failed = {point.description for point in points if not point.ok and not point.todo}
    assert len(points) == len(FAILED) + len(GOOD)
    assert failed == {f"- smoke.{verdict}.x86_64.auto" for verdict in FAILED}
    assert [point.description for point in points if point.skip] == ["- smoke.skip.x86_64.auto"]


@pytest.mark.parametrize("word", ["todo", "SKIP", "Todo x"])
def test_no_name_is_a_directive(recorded: RunMaker, word: str) -> None:
    """To tap.py 3.2 an escaped # is one that begins a directive."""
    case = make.case(case_id=f"smoke.x #{word}")
    recorder = recorded([(make.run(case), [make.attempt("fail", "why")])])
    write_tap(recorder.record)
    (point,) = points_of_tap_py(recorder)
    assert (point.ok, point.todo, point.skip) == (False, False, False)
    assert prove(recorder).returncode == 1


def test_tap_py_s_own_program_exits_1(everything: Callable[..., Recorder]) -> None:
    pytest.importorskip("tap.main", reason="tap.py is of the dev extra")
    # An unexpected pass fails there, as in unittest; TAP calls it a bonus.
    for verdicts, status in ((("pass", "skip", "xfail"), 0), (("pass", "fail"), 1)):
        run = everything(*verdicts).run.path
        argv = [
            sys.executable,
            "-c",
            "from tap.main import main; raise SystemExit(main())",
            "results.tap",
        ]
        done = subprocess.run(argv, cwd=run, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr


def test_junitparser_counts_the_cases(everything: Callable[..., Recorder]) -> None:
    recorder = everything(*FAILED, *GOOD)
    read = JUnitXml.fromfile(str(recorder.run.path / "junit.xml"))
    assert read.tests == len(FAILED) + len(GOOD)
    assert read.failures + read.errors == len(FAILED)
    assert read.errors == 1
    cases = [case for suite in read for case in suite]
    bad = {case.name for case in cases if case.is_failure or case.is_error}
    assert len(cases) == read.tests
    assert {re.split(r"[.\[]", name)[0] for name in bad} == set(FAILED)
